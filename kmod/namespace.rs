// SPDX-License-Identifier: GPL-2.0

//! An IPC namespace: who creates its segments, who attaches to them, and its end.
//!
//! # Locks
//!
//! `Namespace::making_default`, then `Namespace::segments`, then those of a segment. Segments are
//! allocated, and the last reference to one is dropped, under the first at most.

use crate::{
    index::{
        Entry,
        Index, //
    },
    missing::{
        creds::{
            Kuid,
            UserNamespace, //
        },
        errno::{
            EIDRM,
            EOPNOTSUPP, //
        },
        gfp::GFP_MAY_FAIL,
        ipc_ns::IpcId,
        miscdev::OpenMode,
        pages::MapMode, //
    },
    name::Name,
    owners::Owners,
    segment::{
        NewSegment,
        Segment, //
    },
    target::Selector,
    usage::{
        Account,
        Usage, //
    }, //
};
use kernel::{
    new_condvar,
    new_mutex,
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNode, //
    },
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        CondVar,
        Mutex,
        MutexGuard, //
    }, //
};

/// The number of the next segment, whatever its namespace.
static NEXT_ID: Atomic<u64> = Atomic::new(1);

/// The segments of an IPC namespace.
#[pin_data]
pub(crate) struct Namespace {
    id: IpcId,
    /// To be shown.
    inode: u32,
    /// Owns the IPC namespace.
    owner: UserNamespace,
    usage: Arc<Usage>,
    /// In bytes.
    default_size: u64,
    default_map: MapMode,
    #[pin]
    segments: Mutex<Segments>,
    /// A name is not being made any more.
    #[pin]
    made: CondVar,
    /// Held while the default segment is made.
    #[pin]
    making_default: Mutex<()>,
}

struct Segments {
    index: Index,
    /// Names of segments whose memory is being allocated.
    making: RBTree<Name, ()>,
}

/// Who attaches to a segment, and for what.
#[derive(Clone, Copy)]
pub(crate) struct Attacher {
    pub(crate) token: u32,
    pub(crate) mode: OpenMode,
    /// Who opened the handle.
    pub(crate) opener: Kuid,
}

/// A segment that a handle is to be attached to, and that counts the handle already.
pub(crate) struct Attached {
    pub(crate) segment: Arc<Segment>,
    /// In bytes, when that was looked at: at least what was asked for.
    pub(crate) size: u64,
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
    /// `None` for whatever is the default, or the segment has that is there already.
    pub(crate) map_mode: Option<MapMode>,
}

impl Namespace {
    /// Without segments.
    pub(crate) fn new(
        id: IpcId,
        inode: u32,
        owner: UserNamespace,
        usage: Arc<Usage>,
        default_size: u64,
        default_map: MapMode,
    ) -> Result<Arc<Self>> {
        let segments = Segments {
            index: Index::new(),
            making: RBTree::new(),
        };
        Arc::pin_init(
            pin_init!(Self {
                id,
                inode,
                owner,
                usage,
                default_size,
                default_map,
                segments <- new_mutex!(segments, "shmdev::Namespace::segments"),
                made <- new_condvar!("shmdev::Namespace::made"),
                making_default <- new_mutex!((), "shmdev::Namespace::making_default"),
            }),
            GFP_MAY_FAIL,
        )
    }

    pub(crate) fn id(&self) -> IpcId {
        self.id
    }

    /// The inode number, as `/proc/PID/ns/ipc` shows it.
    pub(crate) fn inode(&self) -> u32 {
        self.inode
    }

    /// The user namespace that owns it.
    pub(crate) fn owner(&self) -> &UserNamespace {
        &self.owner
    }

    /// How segments are mapped that are created without saying.
    pub(crate) fn default_map(&self) -> MapMode {
        self.default_map
    }

    /// Attaches to the segment of that name if there is one, and to a new one else.
    ///
    /// Fails with `EEXIST` if there is one and there must not be, with `EACCES`, with `EINVAL` if
    /// it is smaller than asked for, with `EOPNOTSUPP` if it is mapped in another way, with
    /// `ERESTARTSYS` if a signal comes while somebody else makes one, with `ENXIO` if the namespace has
    /// gone, and as [`Segment::create`] does.
    pub(crate) fn create(&self, creation: &Creation, attacher: Attacher) -> Result<Attached> {
        let making = match creation.name {
            Some(name) => match self.find_or_make(name, creation, attacher)? {
                FoundOrMake::Found(attached) => return Ok(attached),
                FoundOrMake::Make(making) => Some(making),
            },
            None => None,
        };
        // Nothing is locked meanwhile, and nobody else makes one of that name.
        let new = NewSegment {
            id: NEXT_ID.fetch_add(1u64, Relaxed),
            name: creation.name,
            size: creation.size,
            map_mode: creation.map_mode.unwrap_or(self.default_map),
            owners: Owners::current(creation.mode),
            // Nobody could find one without a name.
            auto_remove: creation.auto_remove || creation.name.is_none(),
            payer: Some(self.account(Kuid::current_effective())),
        };
        let segment = self.add(new, Some(attacher))?;
        drop(making);
        Ok(Attached {
            segment,
            size: creation.size,
            created: true,
        })
    }

    fn find_or_make(
        &self,
        name: Name,
        creation: &Creation,
        attacher: Attacher,
    ) -> Result<FoundOrMake<'_>> {
        let node = RBTreeNode::new(name, (), GFP_MAY_FAIL)?;
        let mut segments = self.segments()?;
        loop {
            if let Some(there) = segments.index.named(&name) {
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
            segments.index.check_there()?;
        }
    }

    fn attach_named(
        &self,
        segment: &Arc<Segment>,
        creation: &Creation,
        attacher: Attacher,
    ) -> Result<Attached> {
        if creation.exclusive {
            return Err(EEXIST);
        }
        self.check_access(segment, attacher.mode)?;
        let size = segment.size();
        if creation.size > size {
            return Err(EINVAL);
        }
        let maps_so = |mode| mode == segment.map_mode();
        if !creation.map_mode.is_none_or(maps_so) {
            return Err(EOPNOTSUPP());
        }
        segment.handle_attached(attacher.token);
        Ok(Attached {
            segment: segment.clone(),
            size,
            created: false,
        })
    }

    /// The segments, locked. Fails with `ENXIO` if the namespace has gone.
    fn segments(&self) -> Result<MutexGuard<'_, Segments>> {
        let segments = self.segments.lock();
        segments.index.check_there()?;
        Ok(segments)
    }

    /// Makes a segment, and attaches to it.
    ///
    /// Fails with `ENXIO` if the namespace has gone, and as [`Segment::create`] does.
    fn add(&self, new: NewSegment, attacher: Option<Attacher>) -> Result<Arc<Segment>> {
        let segment = Segment::create(new)?;
        let entry = Entry::new(&segment)?;
        let mut segments = self.segments()?;
        segment.announce();
        segments.index.add(entry);
        if let Some(attacher) = attacher {
            segment.handle_attached(attacher.token);
        }
        drop(segments);
        Ok(segment)
    }

    fn account(&self, user: Kuid) -> Account {
        Account {
            usage: self.usage.clone(),
            user,
        }
    }

    fn new_default(&self, payer: Option<Account>) -> NewSegment {
        NewSegment {
            id: 0,
            name: None,
            size: self.default_size,
            map_mode: self.default_map,
            owners: Owners::everybody(&self.owner),
            auto_remove: false,
            payer,
        }
    }

    /// Makes the default segment, which does not count. To be called once, and before
    /// [`Self::attach_default`].
    pub(crate) fn add_default(&self) -> Result {
        self.add(self.new_default(None), None).map(drop)
    }

    /// Attaches to the default segment, which from now on there is, and counts for whoever opened the
    /// first handle that needs it.
    ///
    /// Fails with `ENXIO` if the namespace has gone, and as [`Segment::create`] does.
    pub(crate) fn attach_default(&self, attacher: Attacher) -> Result<Arc<Segment>> {
        if let Some(segment) = self.attach_default_if_made(attacher)? {
            return Ok(segment);
        }
        // Made by one at a time: there may be room for one only.
        let _making = self.making_default.lock();
        if let Some(segment) = self.attach_default_if_made(attacher)? {
            return Ok(segment);
        }
        // Not for whoever calls: he may have been passed the handle, and know nothing of it.
        let payer = self.account(attacher.opener);
        self.add(self.new_default(Some(payer)), Some(attacher))
    }

    fn attach_default_if_made(&self, attacher: Attacher) -> Result<Option<Arc<Segment>>> {
        let segments = self.segments()?;
        let segment = segments.index.default_segment();
        Ok(segment
            .inspect(|segment| segment.handle_attached(attacher.token))
            .cloned())
    }

    fn check_access(&self, segment: &Segment, mode: OpenMode) -> Result {
        // Who opened it for neither has shown as many rights as for both.
        let neither = !mode.read && !mode.write;
        let (read, write) = (mode.read || neither, mode.write || neither);
        if segment.owners().allow(read, write, &self.owner) {
            Ok(())
        } else {
            Err(EACCES)
        }
    }

    /// Attaches to a segment that has a name.
    ///
    /// Fails with `ENOENT`, `EIDRM`, `EACCES`, and with `ENXIO` if the namespace has gone.
    pub(crate) fn attach(&self, selector: &Selector, attacher: Attacher) -> Result<Arc<Segment>> {
        let segments = self.segments()?;
        let segment = segments.index.find_for_all(selector)?;
        self.check_access(segment, attacher.mode)?;
        segment.handle_attached(attacher.token);
        Ok(segment.clone())
    }

    /// Attaches to a segment of the namespace that a handle is attached to, and stays so meanwhile.
    ///
    /// Fails with `EACCES`, and with `ENXIO` if the namespace has gone.
    pub(crate) fn attach_attached(&self, segment: &Segment, attacher: Attacher) -> Result {
        let _segments = self.segments()?;
        self.check_access(segment, attacher.mode)?;
        segment.handle_attached(attacher.token);
        Ok(())
    }

    /// A segment by name or number. Fails with `ENOENT`.
    pub(crate) fn find(&self, selector: &Selector) -> Result<Arc<Segment>> {
        self.segments.lock().index.find(selector).cloned()
    }

    /// A segment by name or number that is neither anonymous nor removed. Fails with `ENOENT` and
    /// `EIDRM`.
    pub(crate) fn find_for_all(&self, selector: &Selector) -> Result<Arc<Segment>> {
        self.segments.lock().index.find_for_all(selector).cloned()
    }

    /// Lists segments, as [`Index::list`] does.
    pub(crate) fn list(&self, cursor: u64, list: &mut KVec<Arc<Segment>>) -> u64 {
        self.segments.lock().index.list(cursor, list)
    }

    /// Takes the name of a segment away, and the segment when the last handle has gone. Fails with
    /// `EIDRM` if that was done before.
    pub(crate) fn remove(&self, segment: &Segment) -> Result {
        let mut segments = self.segments.lock();
        if segment.is_removed() {
            return Err(EIDRM());
        }
        let retired = segments.index.retire(segment);
        drop(segments);
        drop(retired);
        Ok(())
    }

    /// A handle that was attached to the segment has gone. Returns whether the namespace has, too,
    /// and nobody uses a segment of it any more.
    #[must_use]
    pub(crate) fn release(&self, segment: &Segment) -> bool {
        let mut segments = self.segments.lock();
        let index = &mut segments.index;
        let goes = segment.handle_detached() && (index.is_gone() || !segment.is_default());
        let retired = goes.then(|| index.retire(segment));
        let over = index.is_over();
        drop(segments);
        drop(retired);
        over
    }

    /// The namespace has gone, and with it all segments but those that handles are attached to.
    /// Returns whether there are none of these.
    #[must_use]
    pub(crate) fn end(&self) -> bool {
        let mut segments = self.segments.lock();
        let taken = segments.index.end();
        let over = segments.index.is_over();
        drop(segments);
        drop(taken);
        over
    }
}

/// What became of a name that was asked for.
enum FoundOrMake<'a> {
    Found(Attached),
    Make(Making<'a>),
}

/// The right to make a segment of a name; others who want one wait.
struct Making<'a> {
    namespace: &'a Namespace,
    name: Name,
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        let mut segments = self.namespace.segments.lock();
        let node = segments.making.remove_node(&self.name);
        drop(segments);
        self.namespace.made.notify_all();
        drop(node);
    }
}
