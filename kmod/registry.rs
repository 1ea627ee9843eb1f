// SPDX-License-Identifier: GPL-2.0

//! Where segments are found: each IPC namespace has its own.
//!
//! # Locks
//!
//! `Registry::namespaces`, then those of a namespace. The last reference to one is not dropped while
//! it is held.

use crate::{
    missing::{
        creds::{
            UserNamespace, //
        },
        gfp::GFP_MAY_FAIL,
        ipc_ns::{
            current_inode,
            current_owner,
            initial_inode,
            initial_owner,
            IpcGone,
            IpcId,
            IpcWatch,
            IpcWatcher, //
        },
        parameters::default_map, //
    },
    namespace::Namespace,
    segment::Segment,
    uapi,
    usage::Usage, //
};
use core::mem;
use kernel::{
    new_mutex,
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNodeReservation, //
    },
    sync::{
        Arc,
        ArcBorrow,
        Mutex, //
    }, //
};

/// The IPC namespaces that the device was used in.
#[pin_data]
pub(crate) struct Registry {
    usage: Arc<Usage>,
    /// In bytes.
    default_size: u64,
    watcher: IpcWatcher,
    #[pin]
    namespaces: Mutex<RBTree<IpcId, Entry>>,
}

struct Entry {
    namespace: Arc<Namespace>,
    /// Until it has gone; the initial one never does.
    watch: Option<IpcWatch>,
}

/// Tells the registry that a namespace has gone.
struct Link {
    registry: Arc<Registry>,
    id: IpcId,
}

impl IpcGone for Link {
    fn gone(this: ArcBorrow<'_, Self>) {
        let mut namespaces = this.registry.namespaces.lock();
        let entry = namespaces.get_mut(&this.id);
        let found = entry.map(|entry| (entry.namespace.clone(), entry.watch.take()));
        drop(namespaces);
        if let Some((namespace, _watch)) = found {
            if namespace.end() {
                this.registry.forget(&namespace);
            }
        }
    }
}

impl Registry {
    /// With the initial namespace and its default segment, which does not count.
    pub(crate) fn new(default_size: u64) -> Result<Arc<Self>> {
        let registry = Arc::pin_init(
            try_pin_init!(Self {
                usage: Usage::new()?,
                default_size,
                watcher: IpcWatcher::new()?,
                namespaces <- new_mutex!(RBTree::new(), "shmdev::Registry::namespaces"),
            }? Error),
            GFP_KERNEL,
        )?;
        let initial =
            registry.new_namespace(IpcId::initial(), initial_inode(), initial_owner()?)?;
        initial.add_default()?;
        let entry = Entry {
            namespace: initial,
            watch: None,
        };
        registry
            .namespaces
            .lock()
            .try_create_and_insert(IpcId::initial(), entry, GFP_KERNEL)?;
        Ok(registry)
    }

    fn new_namespace(&self, id: IpcId, inode: u32, owner: UserNamespace) -> Result<Arc<Namespace>> {
        Namespace::new(
            id,
            inode,
            owner,
            self.usage.clone(),
            self.default_size,
            default_map(),
        )
    }

    /// Of the current task. Fails with `ENOMEM`, and with `ESRCH` if the task is past having one.
    pub(crate) fn current_namespace(this: &Arc<Self>) -> Result<Arc<Namespace>> {
        let id = IpcId::current()?;
        let mut namespaces = this.namespaces.lock();
        if let Some(entry) = namespaces.get(&id) {
            return Ok(entry.namespace.clone());
        }
        let node = RBTreeNodeReservation::new(GFP_MAY_FAIL)?;
        let namespace = this.new_namespace(id, current_inode(), current_owner()?)?;
        let link = Link {
            registry: this.clone(),
            id,
        };
        // Nothing fails after this: dropping a watch needs the lock.
        let watch = this.watcher.watch_current(Arc::new(link, GFP_MAY_FAIL)?)?;
        let entry = Entry {
            namespace: namespace.clone(),
            watch: Some(watch),
        };
        namespaces.insert(node.into_node(id, entry));
        Ok(namespace)
    }

    pub(crate) fn usage(&self) -> &Usage {
        &self.usage
    }

    pub(crate) fn default_size(&self) -> u64 {
        self.default_size
    }

    /// Calls `show` for each segment, with the inode number of its namespace, until it returns false.
    /// Nothing is locked meanwhile.
    pub(crate) fn for_each_segment(&self, mut show: impl FnMut(u32, &Segment) -> bool) -> Result {
        let mut next = Some(IpcId::FIRST);
        while let Some(namespace) = next.and_then(|id| self.namespace_from(id)) {
            next = namespace.id().next();
            let mut cursor = 0;
            loop {
                let mut batch = KVec::with_capacity(uapi::LIST_MAX, GFP_KERNEL)?;
                cursor = namespace.list(cursor, &mut batch);
                if batch.is_empty() {
                    break;
                }
                if !batch.iter().all(|segment| show(namespace.inode(), segment)) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The first namespace with that number or a larger one.
    fn namespace_from(&self, id: IpcId) -> Option<Arc<Namespace>> {
        let namespaces = self.namespaces.lock();
        let at = namespaces.cursor_lower_bound(&id)?;
        Some(at.current().1.namespace.clone())
    }

    /// Forgets a namespace that has gone and of which nobody uses a segment any more.
    pub(crate) fn forget(&self, namespace: &Namespace) {
        let node = self.namespaces.lock().remove_node(&namespace.id());
        drop(node);
    }

    /// Lets go of everything, and waits for what is under way. No handle may be left.
    pub(crate) fn close(&self) {
        let namespaces = mem::replace(&mut *self.namespaces.lock(), RBTree::new());
        drop(namespaces);
        self.watcher.flush();
    }
}
