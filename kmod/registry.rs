// SPDX-License-Identifier: GPL-2.0

//! Where segments are found: by name and number, each IPC namespace for itself.
//!
//! # Locks
//!
//! `Registry::namespaces`, then `Namespace::segments`, then those of a segment. Segments are not
//! allocated, and the last reference to one is not dropped, while any of them is held.

use crate::{
    missing::{
        creds::UserNamespace,
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
    uapi,
    usage::Usage, //
};
use core::mem;
use kernel::{
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
    /// The initial one never goes.
    _watch: Option<IpcWatch>,
}

/// Tells the registry that a namespace has gone.
struct Link {
    registry: Arc<Registry>,
    id: IpcId,
}

impl IpcGone for Link {
    fn gone(this: ArcBorrow<'_, Self>) {
        let entry = this.registry.namespaces.lock().remove_node(&this.id);
        if let Some(entry) = entry {
            let (_, entry) = entry.to_key_value();
            entry.namespace.end();
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
        let initial = registry.new_namespace(initial_owner()?)?;
        let segment = initial.new_default(None)?;
        initial.segments.lock().add(&segment, Nodes::new()?);
        let entry = Entry {
            namespace: initial,
            _watch: None,
        };
        registry
            .namespaces
            .lock()
            .try_create_and_insert(IpcId::initial(), entry, GFP_KERNEL)?;
        Ok(registry)
    }

    fn new_namespace(&self, owner: UserNamespace) -> Result<Arc<Namespace>> {
        Arc::pin_init(
            pin_init!(Namespace {
                owner,
                usage: self.usage.clone(),
                default_size: self.default_size,
                next_id: Atomic::new(1),
                segments <- new_mutex!(Segments::new(), "shmdev::Namespace::segments"),
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
        let namespace = this.new_namespace(current_owner()?)?;
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
            _watch: Some(watch),
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

    /// Calls `show` for each segment, with the number of its namespace. Locks are held meanwhile.
    pub(crate) fn for_each_segment(&self, mut show: impl FnMut(u64, &Segment)) {
        for (id, entry) in self.namespaces.lock().iter() {
            for segment in entry.namespace.segments.lock().by_id.values() {
                show(id.get(), segment);
            }
        }
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
    /// Owns the IPC namespace.
    owner: UserNamespace,
    usage: Arc<Usage>,
    default_size: u64,
    next_id: Atomic<u64>,
    #[pin]
    segments: Mutex<Segments>,
}

struct Segments {
    /// The namespace has gone: nothing is added any more.
    gone: bool,
    /// All of them, for as long as somebody may attach or a handle is attached.
    by_id: RBTree<u64, Arc<Segment>>,
    /// Those with a name that were not removed.
    by_name: RBTree<Name, Arc<Segment>>,
}

/// Room for a segment in both trees, so that nothing is allocated under the lock.
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

impl Segments {
    fn new() -> Self {
        Self {
            gone: false,
            by_id: RBTree::new(),
            by_name: RBTree::new(),
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

    /// Takes the name away. The references that come back are to be dropped without the lock.
    fn unname(&mut self, segment: &Segment) -> Option<RBTreeNode<Name, Arc<Segment>>> {
        self.by_name
            .remove_node(segment.name().filter(|_| !segment.is_removed())?)
    }
}

/// Which segment a call is about.
pub(crate) enum Selector {
    /// That of the handle.
    Handle,
    Id(u64),
    Name(Name),
}

impl Selector {
    /// What a [`uapi::Target`] selects. Fails with `EINVAL` and `ENAMETOOLONG`.
    pub(crate) fn parse(target: &uapi::Target) -> Result<Self> {
        if target.reserved != 0 {
            return Err(EINVAL);
        }
        match (target.by, Name::parse(&target.name)?, target.id) {
            (uapi::BY_HANDLE, None, 0) => Ok(Self::Handle),
            (uapi::BY_ID, None, id) => Ok(Self::Id(id)),
            (uapi::BY_NAME, Some(name), 0) => Ok(Self::Name(name)),
            _ => Err(EINVAL),
        }
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

    /// A segment that was not there before, and is not found yet. Fails as [`Segment::create`]
    /// does.
    pub(crate) fn new_segment(
        &self,
        name: Option<Name>,
        size: u64,
        mode: u16,
        auto_remove: bool,
    ) -> Result<Arc<Segment>> {
        Segment::create(NewSegment {
            id: self.next_id.fetch_add(1u64, Relaxed),
            name,
            size,
            owners: Owners::current(mode),
            // Nobody could find one without a name.
            auto_remove: auto_remove || name.is_none(),
            usage: Some(&self.usage),
        })
    }

    fn new_default(&self, usage: Option<&Arc<Usage>>) -> Result<Arc<Segment>> {
        Segment::create(NewSegment {
            id: 0,
            name: None,
            size: self.default_size,
            owners: Owners::everybody(&self.owner),
            auto_remove: false,
            usage,
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
        // Dropped last, without the lock, if it turns out not to be needed.
        let new = self.new_default(Some(&self.usage))?;
        let nodes = Nodes::new()?;
        let mut segments = self.segments.lock();
        if let Some(segment) = attach(&segments)? {
            return Ok(segment);
        }
        segments.add(&new, nodes);
        new.handle_attached(attacher.token);
        drop(segments);
        Ok(new)
    }

    /// Makes `new` known and attaches to it; or attaches to the one that has its name already,
    /// unless `exclusive`.
    ///
    /// Fails with `EEXIST`, `EACCES`, and with `ENXIO` if the namespace has gone; with `EINVAL` if
    /// the one that is there is smaller than `size`.
    pub(crate) fn attach_new(
        &self,
        new: &Arc<Segment>,
        exclusive: bool,
        size: u64,
        attacher: Attacher,
    ) -> Result<Arc<Segment>> {
        let nodes = Nodes::new()?;
        let mut segments = self.segments.lock();
        let there = new.name().and_then(|name| segments.by_name.get(name));
        if let Some(there) = there {
            return self.attach_named(there, exclusive, size, attacher);
        }
        if segments.gone {
            return Err(ENXIO);
        }
        segments.add(new, nodes);
        new.handle_attached(attacher.token);
        Ok(new.clone())
    }

    /// Attaches to the segment of that name, if there is one, as [`Namespace::attach_new`] does.
    pub(crate) fn attach_existing(
        &self,
        name: &Name,
        exclusive: bool,
        size: u64,
        attacher: Attacher,
    ) -> Result<Option<Arc<Segment>>> {
        let segments = self.segments.lock();
        segments
            .by_name
            .get(name)
            .map(|there| self.attach_named(there, exclusive, size, attacher))
            .transpose()
    }

    fn attach_named(
        &self,
        segment: &Arc<Segment>,
        exclusive: bool,
        size: u64,
        attacher: Attacher,
    ) -> Result<Arc<Segment>> {
        if exclusive {
            return Err(EEXIST);
        }
        self.check_access(segment, attacher.mode)?;
        if size > segment.size() {
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

    /// A handle that was attached to the segment has gone.
    pub(crate) fn release(&self, segment: &Segment) {
        let mut segments = self.segments.lock();
        if segment.handle_detached() && !segment.is_default() {
            let unnamed = segments.unname(segment);
            segment.set_removed();
            let gone = segments.by_id.remove_node(&segment.id());
            drop(segments);
            drop((unnamed, gone));
        }
    }

    /// Takes the name of a segment away, and the segment when the last handle has gone. Fails with
    /// `EIDRM` if that was done before.
    pub(crate) fn remove(&self, segment: &Segment) -> Result {
        let mut segments = self.segments.lock();
        if segment.is_removed() {
            return Err(EIDRM());
        }
        let unnamed = segments.unname(segment);
        segment.set_removed();
        let gone = if segment.has_handles() {
            None
        } else {
            segments.by_id.remove_node(&segment.id())
        };
        drop(segments);
        drop((unnamed, gone));
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
    fn end(&self) {
        let mut segments = self.segments.lock();
        let gone = mem::replace(
            &mut *segments,
            Segments {
                gone: true,
                ..Segments::new()
            },
        );
        for segment in gone.by_id.values() {
            segment.set_removed();
        }
        drop(segments);
    }
}

impl Segments {
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
}
