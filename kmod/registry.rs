// SPDX-License-Identifier: GPL-2.0

//! Where segments are found: by name and number, each IPC namespace for itself.
//!
//! # Locks
//!
//! `Registry::namespaces`, then `Namespace::segments`, then those of a segment. Segments are not
//! allocated, and the last reference to one is not dropped, while any of them is held.

use crate::{
    missing::{
        creds::{
            Kuid,
            UserNamespace, //
        },
        errno::EIDRM,
        ipc_ns::{
            current_owner,
            initial_owner,
            IpcGone,
            IpcId,
            IpcWatch,
            IpcWatcher, //
        },
        miscdev::OpenMode, //
    },
    name::Name,
    owners::Owners,
    segment::{
        NewSegment,
        Segment, //
    },
    target::Selector,
    uapi,
    usage::{
        Account,
        Usage, //
    }, //
};
use core::mem;
use kernel::{
    new_condvar,
    new_mutex,
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNode,
        RBTreeNodeReservation, //
    },
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        ArcBorrow,
        CondVar,
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
        let initial = registry.new_namespace(IpcId::initial(), initial_owner()?)?;
        let segment = initial.new_default(None)?;
        initial.segments.lock().add(&segment, Nodes::new()?);
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

    fn new_namespace(&self, id: IpcId, owner: UserNamespace) -> Result<Arc<Namespace>> {
        Arc::pin_init(
            pin_init!(Namespace {
                id,
                owner,
                usage: self.usage.clone(),
                default_size: self.default_size,
                next_id: Atomic::new(1),
                segments <- new_mutex!(Segments::new(), "shmdev::Namespace::segments"),
                made <- new_condvar!("shmdev::Namespace::made"),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// Of the current task. Fails with `ENOMEM`, and with `ESRCH` if the task is past having one.
    pub(crate) fn current_namespace(this: &Arc<Self>) -> Result<Arc<Namespace>> {
        let id = IpcId::current()?;
        let mut namespaces = this.namespaces.lock();
        if let Some(entry) = namespaces.get(&id) {
            return Ok(entry.namespace.clone());
        }
        let node = RBTreeNodeReservation::new(GFP_KERNEL_ACCOUNT)?;
        let namespace = this.new_namespace(id, current_owner()?)?;
        let link = Link {
            registry: this.clone(),
            id,
        };
        // Nothing fails after this: dropping a watch needs the lock.
        let watch = this
            .watcher
            .watch_current(Arc::new(link, GFP_KERNEL_ACCOUNT)?)?;
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

    /// Calls `show` for each segment, with the number of its namespace, until it returns false.
    /// Nothing is locked meanwhile.
    pub(crate) fn for_each_segment(&self, mut show: impl FnMut(u64, &Segment) -> bool) -> Result {
        let mut next = Some(IpcId::FIRST);
        while let Some(namespace) = next.and_then(|id| self.namespace_from(id)) {
            next = namespace.id.next();
            let mut cursor = 0;
            loop {
                let mut batch = KVec::with_capacity(uapi::LIST_MAX, GFP_KERNEL)?;
                cursor = namespace.list(cursor, &mut batch);
                if batch.is_empty() {
                    break;
                }
                if !batch
                    .iter()
                    .all(|segment| show(namespace.id.get(), segment))
                {
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
        let node = self.namespaces.lock().remove_node(&namespace.id);
        drop(node);
    }

    /// Lets go of everything, and waits for what is under way. No handle may be left.
    pub(crate) fn close(&self) {
        let namespaces = mem::replace(&mut *self.namespaces.lock(), RBTree::new());
        drop(namespaces);
        self.watcher.flush();
    }
}

/// The segments of an IPC namespace.
#[pin_data]
pub(crate) struct Namespace {
    id: IpcId,
    /// Owns the IPC namespace.
    owner: UserNamespace,
    usage: Arc<Usage>,
    default_size: u64,
    next_id: Atomic<u64>,
    #[pin]
    segments: Mutex<Segments>,
    /// A name is not being made any more.
    #[pin]
    made: CondVar,
}

struct Segments {
    /// The namespace has gone: nothing is added any more.
    gone: bool,
    /// All of them, for as long as somebody may attach or a handle is attached.
    by_id: RBTree<u64, Arc<Segment>>,
    /// Those with a name that were not removed.
    by_name: RBTree<Name, Arc<Segment>>,
    /// Names of segments whose memory is being allocated.
    making: RBTree<Name, ()>,
}

/// What was taken out of the trees.
struct Retired {
    _by_name: Option<RBTreeNode<Name, Arc<Segment>>>,
    _by_id: Option<RBTreeNode<u64, Arc<Segment>>>,
}

/// Room for a segment in the trees, so that nothing is allocated under the lock.
struct Nodes {
    by_id: RBTreeNodeReservation<u64, Arc<Segment>>,
    by_name: RBTreeNodeReservation<Name, Arc<Segment>>,
}

impl Nodes {
    fn new() -> Result<Self> {
        Ok(Self {
            by_id: RBTreeNodeReservation::new(GFP_KERNEL_ACCOUNT)?,
            by_name: RBTreeNodeReservation::new(GFP_KERNEL_ACCOUNT)?,
        })
    }
}

/// A segment that a handle is to be attached to, and that counts the handle already.
pub(crate) struct Attached {
    pub(crate) segment: Arc<Segment>,
    /// It was not there before.
    pub(crate) created: bool,
}

/// What a segment is to be that is created.
pub(crate) struct Creation {
    pub(crate) name: Option<Name>,
    /// In bytes.
    pub(crate) size: u64,
    pub(crate) mode: u16,
    pub(crate) exclusive: bool,
    pub(crate) auto_remove: bool,
}

impl Segments {
    fn new() -> Self {
        Self {
            gone: false,
            by_id: RBTree::new(),
            by_name: RBTree::new(),
            making: RBTree::new(),
        }
    }

    fn add(&mut self, segment: &Arc<Segment>, nodes: Nodes) {
        segment.announce();
        let _ = self
            .by_id
            .insert(nodes.by_id.into_node(segment.id(), segment.clone()));
        if let Some(&name) = segment.name() {
            let _ = self
                .by_name
                .insert(nodes.by_name.into_node(name, segment.clone()));
        }
    }

    fn find(&self, selector: &Selector) -> Result<&Arc<Segment>> {
        let found = match selector {
            Selector::Handle => None,
            Selector::Id(id) => self.by_id.get(id),
            Selector::Name(name) => self.by_name.get(name),
        };
        found.ok_or(ENOENT)
    }

    fn find_for_all(&self, selector: &Selector) -> Result<&Arc<Segment>> {
        let segment = self.find(selector)?;
        if segment.is_removed() {
            return Err(EIDRM());
        }
        if segment.name().is_none() && !segment.is_default() {
            return Err(ENOENT);
        }
        Ok(segment)
    }

    /// Takes the name of a segment away, if that was not done before, and the segment if no handle is
    /// attached to it. The references that come back are to be dropped without the lock.
    fn retire(&mut self, segment: &Segment) -> Retired {
        let name = segment.name().filter(|_| !segment.is_removed());
        let by_name = name.and_then(|name| self.by_name.remove_node(name));
        segment.set_removed();
        let by_id = if segment.has_handles() {
            None
        } else {
            self.by_id.remove_node(&segment.id())
        };
        Retired {
            _by_name: by_name,
            _by_id: by_id,
        }
    }

    /// Whether the namespace has gone and nobody uses a segment of it.
    fn is_over(&self) -> bool {
        self.gone && self.by_id.is_empty()
    }
}

/// Who attaches to a segment, and for what.
#[derive(Clone, Copy)]
pub(crate) struct Attacher {
    pub(crate) token: u32,
    pub(crate) mode: OpenMode,
}

impl Namespace {
    /// The user namespace that owns it.
    pub(crate) fn owner(&self) -> &UserNamespace {
        &self.owner
    }

    /// Attaches to the segment of that name if there is one, and to a new one else.
    ///
    /// Fails with `EEXIST` if there is one and there must not be, with `EACCES`, with `EINVAL` if
    /// it is smaller than asked for, with `ERESTARTSYS` if a signal comes while somebody else makes
    /// one, with `ENXIO` if the namespace has gone, and as [`Segment::create`] does.
    pub(crate) fn create(&self, creation: &Creation, attacher: Attacher) -> Result<Attached> {
        let nodes = Nodes::new()?;
        let making = match creation.name {
            Some(name) => match self.find_or_make(name, creation, attacher)? {
                FoundOrMake::Found(segment) => {
                    let created = false;
                    return Ok(Attached { segment, created });
                }
                FoundOrMake::Make(making) => Some(making),
            },
            None => None,
        };
        // Nothing is locked meanwhile, and nobody else makes one of that name.
        let segment = Segment::create(NewSegment {
            id: self.next_id.fetch_add(1u64, Relaxed),
            name: creation.name,
            size: creation.size,
            owners: Owners::current(creation.mode),
            // Nobody could find one without a name.
            auto_remove: creation.auto_remove || creation.name.is_none(),
            payer: Some(self.current_payer()),
        })?;
        let mut segments = self.segments.lock();
        if segments.gone {
            return Err(ENXIO);
        }
        segments.add(&segment, nodes);
        segment.handle_attached(attacher.token);
        drop(segments);
        drop(making);
        let created = true;
        Ok(Attached { segment, created })
    }

    fn find_or_make(
        &self,
        name: Name,
        creation: &Creation,
        attacher: Attacher,
    ) -> Result<FoundOrMake<'_>> {
        let node = RBTreeNode::new(name, (), GFP_KERNEL_ACCOUNT)?;
        let mut segments = self.segments.lock();
        loop {
            if segments.gone {
                return Err(ENXIO);
            }
            if let Some(there) = segments.by_name.get(&name) {
                let found = self.attach_named(there, creation, attacher);
                return found.map(FoundOrMake::Found);
            }
            if segments.making.get(&name).is_none() {
                let _ = segments.making.insert(node);
                return Ok(FoundOrMake::Make(Making {
                    namespace: self,
                    name,
                }));
            }
            if self.made.wait_interruptible(&mut segments) {
                return Err(ERESTARTSYS);
            }
        }
    }

    fn current_payer(&self) -> Account {
        Account {
            usage: self.usage.clone(),
            user: Kuid::current_effective(),
        }
    }

    fn new_default(&self, payer: Option<Account>) -> Result<Arc<Segment>> {
        Segment::create(NewSegment {
            id: 0,
            name: None,
            size: self.default_size,
            owners: Owners::everybody(&self.owner),
            auto_remove: false,
            payer,
        })
    }

    /// Attaches to the default segment, which from now on there is.
    ///
    /// Fails with `ENXIO` if the namespace has gone, and as [`Segment::create`] does.
    pub(crate) fn attach_default(&self, attacher: Attacher) -> Result<Arc<Segment>> {
        let attach = |segments: &Segments| {
            if segments.gone {
                return Err(ENXIO);
            }
            let segment = segments
                .by_id
                .get(&0)
                .inspect(|segment| segment.handle_attached(attacher.token));
            Ok(segment.cloned())
        };
        if let Some(segment) = attach(&self.segments.lock())? {
            return Ok(segment);
        }
        let nodes = Nodes::new()?;
        // Dropped without the lock if it turns out not to be needed.
        let new = match self.new_default(Some(self.current_payer())) {
            Ok(new) => new,
            // What it lacked somebody else may have got, who made it meanwhile.
            Err(error) => return attach(&self.segments.lock())?.ok_or(error),
        };
        let mut segments = self.segments.lock();
        if let Some(segment) = attach(&segments)? {
            return Ok(segment);
        }
        segments.add(&new, nodes);
        new.handle_attached(attacher.token);
        drop(segments);
        Ok(new)
    }

    fn attach_named(
        &self,
        segment: &Arc<Segment>,
        creation: &Creation,
        attacher: Attacher,
    ) -> Result<Arc<Segment>> {
        if creation.exclusive {
            return Err(EEXIST);
        }
        self.check_access(segment, attacher.mode)?;
        if creation.size > segment.size() {
            return Err(EINVAL);
        }
        segment.handle_attached(attacher.token);
        Ok(segment.clone())
    }

    fn check_access(&self, segment: &Segment, mode: OpenMode) -> Result {
        if segment.owners().allow(mode.read, mode.write, &self.owner) {
            Ok(())
        } else {
            Err(EACCES)
        }
    }

    /// Attaches to a segment that has a name.
    ///
    /// Fails with `ENOENT`, `EIDRM`, `EACCES`, and with `ENXIO` if the namespace has gone.
    pub(crate) fn attach(&self, selector: &Selector, attacher: Attacher) -> Result<Arc<Segment>> {
        let segments = self.segments.lock();
        if segments.gone {
            return Err(ENXIO);
        }
        let segment = segments.find_for_all(selector)?;
        self.check_access(segment, attacher.mode)?;
        segment.handle_attached(attacher.token);
        Ok(segment.clone())
    }

    /// A segment by name or number. Fails with `ENOENT`.
    pub(crate) fn find(&self, selector: &Selector) -> Result<Arc<Segment>> {
        self.segments.lock().find(selector).cloned()
    }

    /// A segment by name or number that is neither anonymous nor removed. Fails with `ENOENT` and
    /// `EIDRM`.
    pub(crate) fn find_for_all(&self, selector: &Selector) -> Result<Arc<Segment>> {
        self.segments.lock().find_for_all(selector).cloned()
    }

    /// A handle that was attached to the segment has gone. Returns whether the namespace has, too,
    /// and nobody uses a segment of it any more.
    #[must_use]
    pub(crate) fn release(&self, segment: &Segment) -> bool {
        let mut segments = self.segments.lock();
        let goes = segment.handle_detached() && (segments.gone || !segment.is_default());
        let retired = goes.then(|| segments.retire(segment));
        let over = segments.is_over();
        drop(segments);
        drop(retired);
        over
    }

    /// Takes the name of a segment away, and the segment when the last handle has gone. Fails with
    /// `EIDRM` if that was done before.
    pub(crate) fn remove(&self, segment: &Segment) -> Result {
        let mut segments = self.segments.lock();
        if segment.is_removed() {
            return Err(EIDRM());
        }
        let retired = segments.retire(segment);
        drop(segments);
        drop(retired);
        Ok(())
    }

    /// Adds segments to `list`, as many as it has room for, of those whose number is `cursor` or
    /// more. Returns where to go on.
    pub(crate) fn list(&self, cursor: u64, list: &mut KVec<Arc<Segment>>) -> u64 {
        let segments = self.segments.lock();
        let mut next = cursor;
        while let Some(at) = segments.by_id.cursor_lower_bound(&next) {
            let (&id, segment) = at.current();
            if list.push_within_capacity(segment.clone()).is_err() {
                break;
            }
            next = id.saturating_add(1);
        }
        next
    }

    /// The namespace has gone, and with it all segments but those that handles are attached to.
    /// Returns whether there are none of these.
    #[must_use]
    fn end(&self) -> bool {
        let mut segments = self.segments.lock();
        segments.gone = true;
        let unnamed = mem::replace(&mut segments.by_name, RBTree::new());
        let mut unused = RBTree::new();
        let mut next = 0;
        while let Some(at) = segments.by_id.cursor_lower_bound(&next) {
            let (&id, segment) = at.current();
            next = id.saturating_add(1);
            segment.set_removed();
            if !segment.has_handles() {
                if let Some(node) = segments.by_id.remove_node(&id) {
                    let _ = unused.insert(node);
                }
            }
        }
        let over = segments.is_over();
        drop(segments);
        drop((unnamed, unused));
        over
    }
}

/// What became of a name that was asked for.
enum FoundOrMake<'a> {
    Found(Arc<Segment>),
    Make(Making<'a>),
}

/// The right to make a segment of a name; others who want one wait.
struct Making<'a> {
    namespace: &'a Namespace,
    name: Name,
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        let node = self
            .namespace
            .segments
            .lock()
            .making
            .remove_node(&self.name);
        self.namespace.made.notify_all();
        drop(node);
    }
}
