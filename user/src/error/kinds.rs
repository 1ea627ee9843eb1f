// SPDX-License-Identifier: MIT OR Apache-2.0

//! Each operation's kinds of failure: which errno stands for which, and what to say of it. Tables only.

use nix::errno::Errno;

use super::{Kind, OpError, sealed};

/// An operation that failed on opening the device, or a segment.
pub type OpenError = OpError<OpenErrorKind>;
/// Asking for the state of a segment or of the device failed.
pub type StatError = OpError<StatErrorKind>;
/// Changing owner, group or mode of a segment failed.
pub type SetError = OpError<SetErrorKind>;
/// Changing the size of a segment failed.
pub type ResizeError = OpError<ResizeErrorKind>;
/// Removing a segment failed.
pub type RemoveError = OpError<RemoveErrorKind>;
/// Listing segments failed.
pub type ListError = OpError<ListErrorKind>;
/// Restricting a handle failed.
pub type RestrictError = OpError<RestrictErrorKind>;
/// Mapping failed.
pub type MapError = OpError<MapErrorKind>;
/// Beginning an access to a range failed.
pub type BeginError = OpError<BeginErrorKind>;
/// Waiting on a word failed.
pub type WaitError = OpError<WaitErrorKind>;
/// Waking those who wait on a word failed.
pub type WakeError = OpError<WakeErrorKind>;
/// Letting those who wait on a word wait on another one failed.
pub type RequeueError = OpError<RequeueErrorKind>;
/// Making a word robust, or taking that back, failed.
pub type RobustError = OpError<RobustErrorKind>;
/// Finding or making an object in a segment failed.
pub type PlaceError = OpError<PlaceErrorKind>;
/// Adding or removing an eventfd failed.
pub type EventfdError = OpError<EventfdErrorKind>;
/// Ending an access to a range failed.
pub type EndError = OpError<EndErrorKind>;
/// Reading or writing through the descriptor failed.
pub type TransferError = OpError<TransferErrorKind>;
/// Waiting for a change failed.
pub type PollError = OpError<PollErrorKind>;

// What several operations say.
const NAME: &str = "a name is 1 to 63 of A-Z a-z 0-9 . _ - and neither . nor ..";
const NO_SEGMENT: &str = "no such segment in this IPC namespace";
const REMOVED: &str = "the segment was removed";
const NOT_OWNER: &str = "only its owner, its creator and root may do that";
const RESTRICTED: &str = "the handle was restricted; open the device again";
const OLD_MODULE: &str = "the module does not know this call; load a newer one";
const MODE: &str = "a mode has nine permission bits, 0 to 0777";
const NAMESPACE_GONE: &str = "the IPC namespace of the handle has gone; open the device again";
const WORD: &str = "the offset is not a multiple of 4, or not that of a word of the segment";
const RANGE: &str = "the range is empty or does not lie within the segment";

/// Makes the enum of an operation: its variants, the errnos that stand for each, and what to say.
macro_rules! kinds {
    ($(
        $(#[$doc:meta])*
        $name:ident {
            $( $(#[$variant_doc:meta])* $variant:ident $(: $($errno:ident)|+)? => $why:expr, )*
        }
    )*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum $name {
            $( $(#[$variant_doc])* $variant, )*
            /// Another errno; see [`OpError::raw_os_error`].
            Other,
        }

        impl Kind for $name {}

        impl sealed::Kind for $name {
            fn from_errno(errno: Errno) -> Self {
                match errno {
                    $( $( $(Errno::$errno)|+ => Self::$variant, )? )*
                    _ => Self::Other,
                }
            }

            fn why(&self) -> Option<&'static str> {
                match self {
                    $( Self::$variant => Some($why), )*
                    Self::Other => None,
                }
            }
        }
    )* };
}

impl OpenErrorKind {
    /// What an errno of `CREATE` and `OPEN` means, once the device itself is open. The kernel has `EINVAL`
    /// for several things; the others of them are refused before it is asked.
    pub(crate) fn of_attaching(errno: Errno) -> Self {
        match errno {
            Errno::ENOENT => Self::NoSegment,
            Errno::EIDRM => Self::Removed,
            Errno::EACCES => Self::SegmentDenied,
            Errno::EEXIST => Self::Exists,
            Errno::EINVAL => Self::TooSmall,
            Errno::EOPNOTSUPP => Self::MappedOtherwise,
            Errno::EBUSY => Self::Attached,
            Errno::ENOSPC => Self::Limit,
            Errno::ENOMEM => Self::NoMemory,
            Errno::EINTR => Self::Interrupted,
            Errno::ENXIO => Self::NamespaceGone,
            Errno::EXDEV => Self::OtherNamespace,
            Errno::ENOTTY => Self::Unsupported,
            _ => Self::Other,
        }
    }
}

kinds! {
    /// Why opening or creating failed: first those about the device, then those about a segment.
    OpenErrorKind {
        /// `ENOENT`, `ENXIO`, `ENODEV`: there is no such device.
        NotFound: ENOENT | ENXIO | ENODEV => "no such device; is the module shmdev loaded?",
        /// `EACCES`, `EPERM`: the mode or owner of the node does not allow it.
        Denied: EACCES | EPERM => "the mode and owner of the device node do not allow it",
        /// `ENOTTY`: something else has that path, or the descriptor is of something else.
        NotShmdev: ENOTTY => "not a shmdev device",
        /// `EPROTO`: the module speaks another version of the ABI than this crate.
        AbiMismatch => "the module and this program were built for different versions of the ABI",
        /// `EINVAL`: neither reading nor writing was asked for.
        NoAccess: EINVAL => "neither reading nor writing was asked for",
        /// `ENOMEM`: no memory for the handle or the segment, or the limit of the cgroup.
        NoMemory: ENOMEM => "no memory, or the limit of the memory cgroup; ask for less",
        /// `ENOSPC`, `EMFILE`, `ENFILE`: too many handles or descriptors are open.
        TooMany: ENOSPC | EMFILE | ENFILE => "too many handles or descriptors are open",

        /// `EINVAL`, `ENAMETOOLONG`: that is no name; see [`Name`](crate::Name).
        InvalidName => NAME,
        /// `ENOENT`: no segment has that name or id, or it is an anonymous one's.
        NoSegment => NO_SEGMENT,
        /// `EIDRM`: the segment with that id was removed.
        Removed => REMOVED,
        /// `EACCES`: the segment's mode does not allow what it is opened for.
        SegmentDenied => "the segment's owner and mode do not allow it; open it for less, or ask its owner",
        /// `EEXIST`: there is a segment of that name already.
        Exists => "name exists",
        /// `EINVAL`: the segment exists and is smaller than the size asked for.
        TooSmall => "the segment exists and is smaller than that; ask for less, or resize it",
        /// `EOPNOTSUPP`: the segment exists and is not mapped as asked for; see [`Map`](crate::Map).
        MappedOtherwise => "the segment exists and is mapped in another way",
        /// `EINVAL`: a segment of 0 bytes, or no size was given.
        InvalidSize => "a segment has at least one byte; say how many",
        /// `EINVAL`: the mode is above 0o777.
        InvalidMode => MODE,
        /// `EINVAL`: a segment can be created by name only: ids are the kernel's to give.
        IdGiven => "a segment is created by name; its id is given by the kernel",
        /// `EBUSY`: the handle is attached to a segment, and stays so.
        Attached => "the handle is attached to a segment already; open the device again",
        /// `ENOSPC`: over one of the module's limits; see [`Info`](crate::Info).
        Limit => "over a limit of the module: on segments, bytes of one, bytes of all or bytes a user",
        /// `ENXIO`: the IPC namespace in which the device was opened has gone.
        NamespaceGone => NAMESPACE_GONE,
        /// `EXDEV`: the handle to open again was opened in another IPC namespace.
        OtherNamespace => "the handle is of another IPC namespace",
        /// `EINTR`: the caller is being killed, or a signal came while somebody else was making a segment of
        /// that name.
        Interrupted: EINTR => "interrupted",
        /// `EOPNOTSUPP`: in this IPC namespace, which is not the first, the device cannot be used: the kernel
        /// does not tell it when a namespace goes.
        NoNamespaces: EOPNOTSUPP => "the kernel has no POSIX message queues, so the device serves the first IPC namespace only",
        /// `ENOTTY`: the module is older than this crate and has no segments with names.
        Unsupported => OLD_MODULE,
    }

    /// Why asking for the state of a segment, or of the device, failed.
    StatErrorKind {
        /// `EINVAL`, `ENAMETOOLONG`: that is no name; see [`Name`](crate::Name).
        InvalidName: ENAMETOOLONG => NAME,
        /// `ENOENT`: there is no segment of that name or id.
        NotFound: ENOENT => NO_SEGMENT,
        /// `EACCES`: the handle was restricted, and may ask about its own segment only.
        Restricted: EACCES => "the handle was restricted to its own segment; open the device again",
        /// `ENOTTY`: the module does not know the call.
        Unsupported: ENOTTY => OLD_MODULE,
        /// `ENOMEM`: no memory for the default segment, which this call would have made.
        NoMemory: ENOMEM => "no memory for the default segment",
        /// `ENOSPC`: the default segment, which this call would have made, is over a limit of the module.
        Limit: ENOSPC => "the default segment would be over a limit of the module",
        /// `ENXIO`: the IPC namespace in which the device was opened has gone.
        NamespaceGone: ENXIO => NAMESPACE_GONE,
        /// `EINTR`: the caller is being killed.
        Interrupted: EINTR => "interrupted",
    }

    /// Why changing owner, group or mode failed.
    SetErrorKind {
        /// `EINVAL`, `ENAMETOOLONG`: that is no name; see [`Name`](crate::Name).
        InvalidName: ENAMETOOLONG => NAME,
        /// `EINVAL`: nothing was to be changed.
        Empty => "nothing to change; give an owner, a group or a mode",
        /// `EINVAL`: the mode is above 0o777.
        InvalidMode => MODE,
        /// `EINVAL`: the default segment stays as it is.
        DefaultSegment => "the default segment keeps its owner and mode",
        /// `EINVAL`: the caller's user namespace does not know the new owner or group.
        UnknownOwner: EINVAL => "this user namespace does not know that owner or group",
        /// `ENOENT`: there is no segment of that name or id, or it is an anonymous one's.
        NotFound: ENOENT => NO_SEGMENT,
        /// `EIDRM`: the segment with that id was removed.
        Removed: EIDRM => REMOVED,
        /// `EPERM`: the caller is neither owner nor creator and lacks `CAP_SYS_ADMIN`.
        NotOwner: EPERM => NOT_OWNER,
        /// `EACCES`: the handle was restricted.
        Restricted: EACCES => RESTRICTED,
        /// `ENOTTY`: the module does not know the call.
        Unsupported: ENOTTY => OLD_MODULE,
    }

    /// Why changing the size failed.
    ResizeErrorKind {
        /// `EINVAL`, `ENAMETOOLONG`: that is no name; see [`Name`](crate::Name).
        InvalidName: ENAMETOOLONG => NAME,
        /// `EINVAL`: a segment of 0 bytes.
        InvalidSize => "a segment has at least one byte",
        /// `EINVAL`: the default segment keeps its size.
        DefaultSegment: EINVAL => "the default segment keeps the size that the module was loaded with",
        /// `ENOENT`: there is no segment of that name or id, or it is an anonymous one's.
        NotFound: ENOENT => NO_SEGMENT,
        /// `EIDRM`: the segment with that id was removed.
        Removed: EIDRM => REMOVED,
        /// `EPERM`: the caller is neither owner nor creator and lacks `CAP_SYS_ADMIN`.
        NotOwner: EPERM => NOT_OWNER,
        /// `EBUSY`: it would lose pages while somebody maps it, or reads or writes it at that moment; or
        /// somebody else is resizing it.
        InUse: EBUSY => "somebody maps it or is using it, and it would lose pages; or somebody else is resizing it",
        /// `EACCES`: the handle was restricted.
        Restricted: EACCES => RESTRICTED,
        /// `ENOSPC`: over one of the module's limits; see [`Info`](crate::Info).
        Limit: ENOSPC => "over a limit of the module: on bytes of one segment, of all, or of a user's",
        /// `ENOMEM`: no memory, or the limit of the cgroup.
        NoMemory: ENOMEM => "no memory, or the limit of the memory cgroup; ask for less",
        /// `EINTR`: the caller is being killed.
        Interrupted: EINTR => "interrupted",
        /// `ENOTTY`: the module does not know the call.
        Unsupported: ENOTTY => OLD_MODULE,
    }

    /// Why removing failed.
    RemoveErrorKind {
        /// `EINVAL`, `ENAMETOOLONG`: that is no name; see [`Name`](crate::Name).
        InvalidName: ENAMETOOLONG => NAME,
        /// `EINVAL`: the default segment stays.
        DefaultSegment: EINVAL => "the default segment goes with the module only",
        /// `ENOENT`: there is no segment of that name or id, or it is an anonymous one's.
        NotFound: ENOENT => NO_SEGMENT,
        /// `EIDRM`: it was removed already.
        Removed: EIDRM => "the segment was removed already",
        /// `EPERM`: the caller is neither owner nor creator and lacks `CAP_SYS_ADMIN`.
        NotOwner: EPERM => NOT_OWNER,
        /// `EACCES`: the handle was restricted.
        Restricted: EACCES => RESTRICTED,
        /// `ENOTTY`: the module does not know the call.
        Unsupported: ENOTTY => OLD_MODULE,
    }

    /// Why listing failed.
    ListErrorKind {
        /// `EACCES`: the handle was restricted.
        Restricted: EACCES => RESTRICTED,
        /// `ENOMEM`: no memory for the answer.
        NoMemory: ENOMEM => "no memory for the answer",
        /// `ENOTTY`: the module does not know the call.
        Unsupported: ENOTTY => OLD_MODULE,
    }

    /// Why restricting failed.
    RestrictErrorKind {
        /// `EINVAL`: the window is empty, or wraps.
        Invalid: EINVAL => "the window is empty, or does not fit in 64 bits",
        /// `EACCES`: it would allow what the handle may not do already.
        Wider: EACCES => "the handle may not do all of that itself; a handle can only be narrowed",
        /// `ENOTTY`: the module does not know the call.
        Unsupported: ENOTTY => OLD_MODULE,
    }

    /// Why mapping failed.
    MapErrorKind {
        /// `EINVAL`: the length is 0.
        Empty => "nothing to map; a mapping has at least one byte",
        /// `EINVAL`: the offset is not a multiple of the page size.
        Unaligned => "the offset is not a multiple of the page size",
        /// `EINVAL`, `EOVERFLOW`: the window does not lie within the segment, rounded up to pages.
        PastEnd: EINVAL | EOVERFLOW => "the window does not lie within the segment",
        /// `EACCES`: the handle is not open for reading, or not for writing and a writable mapping was
        /// asked for, or it was restricted to less.
        Denied: EACCES => "the handle is not open for that (reading, and writing too if writable), or was restricted to less",
        /// `EOPNOTSUPP`: a private copy of a segment that is not [`Map::Fault`](crate::Map::Fault).
        NoCopies: EOPNOTSUPP => "private copies can be had of segments with --map fault only",
        /// `EPERM`: the kernel's policy does not allow it.
        NotPermitted: EPERM => "not permitted",
        /// `ENOMEM`: no memory for page tables, or a limit on the address space.
        NoMemory: ENOMEM => "no memory for page tables, or a limit on the address space",
    }

    /// Why beginning an access to a range failed.
    BeginErrorKind {
        /// `EINVAL`: the range is empty or does not lie within the segment, rounded up to pages.
        Invalid: EINVAL => RANGE,
        /// `EAGAIN`: the range is not free and the deadline was [`Deadline::Now`](crate::Deadline::Now).
        Busy: EAGAIN => "the range is not free",
        /// `ETIMEDOUT`: the range was not free until the deadline.
        TimedOut: ETIMEDOUT => "timed out",
        /// `EDEADLK`: this handle holds, or waits for, a byte of the range already.
        Deadlock: EDEADLK => "this handle holds or waits for a part of the range already",
        /// `EACCES`: the handle is not open for that access, or was restricted to less.
        Denied: EACCES => "the handle is not open for that, or was restricted to less",
        /// `EINTR`: a signal came first.
        Interrupted: EINTR => "interrupted by a signal",
        /// `ENOLCK`: the handle, or the segment, has as many ranges as it may have, held or waited for.
        TooMany: ENOLCK => "the handle or the segment has as many ranges as it may",
        /// `ENOMEM`: no memory for the range.
        NoMemory: ENOMEM => "no memory for the range",
    }

    /// Why waiting on a word failed.
    WaitErrorKind {
        /// `EINVAL`: the offset is not a multiple of 4, or the word does not lie within the segment, rounded up
        /// to pages; there are no words, or more than [`WAITV_MAX`](crate::uapi::WAITV_MAX); or the word to
        /// wait on is the one to wake.
        Invalid: EINVAL => "the offset is not a multiple of 4, or not that of a word of the segment; or there are no \
                            words or too many; or the one to wait on is the one to wake",
        /// `EACCES`: the handle is not open for reading, or was restricted to less.
        Denied: EACCES => "the handle is not open for reading, or was restricted to less",
        /// `ENOMEM`: no memory to wait with.
        NoMemory: ENOMEM => "no memory to wait with",
        /// `ENOTTY`: the module does not know the call.
        Unsupported: ENOTTY => OLD_MODULE,
    }

    /// Why waking those who wait on a word failed.
    WakeErrorKind {
        /// `EINVAL`: the offset is not a multiple of 4, or the word does not lie within the segment, rounded up
        /// to pages.
        Invalid: EINVAL => WORD,
        /// `EACCES`: the handle is not open for writing, or was restricted to less.
        Denied: EACCES => "the handle is not open for writing, or was restricted to less",
        /// `ENOTTY`: the module does not know the call.
        Unsupported: ENOTTY => OLD_MODULE,
    }

    /// Why letting those who wait on a word wait on another one failed.
    RequeueErrorKind {
        /// `EINVAL`: an offset is not a multiple of 4, a word does not lie within the segment, rounded up to
        /// pages, or both are the same.
        Invalid: EINVAL => "the offsets are not those of two words of the segment",
        /// `EACCES`: the handle is not open for reading and writing, or was restricted to less.
        Denied: EACCES => "the handle is not open for reading and writing, or was restricted to less",
        /// `ENOTTY`: the module does not know the call.
        Unsupported: ENOTTY => OLD_MODULE,
    }

    /// Why making a word robust, or taking that back, failed.
    RobustErrorKind {
        /// `EINVAL`: the offset is not a multiple of 4, or the word does not lie within the segment, rounded up
        /// to pages.
        Invalid: EINVAL => WORD,
        /// `EACCES`: the handle is not open for writing, or was restricted to less.
        Denied: EACCES => "the handle is not open for writing, or was restricted to less",
        /// `ENOSPC`: the handle, or the segment, has as many robust words as it may have.
        TooMany: ENOSPC => "the handle or the segment has as many robust words as it may",
        /// `ENOENT`: this process did not add the word through this handle, or has taken that back.
        NotAdded: ENOENT => "this process did not make this word robust through this handle",
        /// `ENOMEM`: no memory for it.
        NoMemory: ENOMEM => "no memory",
        /// `ENOTTY`: the module does not know the call.
        Unsupported: ENOTTY => OLD_MODULE,
    }

    /// Why finding or making an object in a segment failed.
    PlaceErrorKind {
        /// `EINVAL`: the offset is not a multiple of the object's alignment.
        Unaligned => "the offset is not a multiple of the object's alignment",
        /// `EINVAL`: the object does not lie within the segment as it is mapped.
        OutOfBounds: EINVAL => "the object does not lie within the segment as it is mapped",
        /// `EINVAL`: an argument is not one that the object can have.
        Invalid => "the object cannot be made like that",
        /// `EEXIST`: the bytes there are neither zero nor an object.
        NotAnObject => "the bytes there are neither zero nor an object",
        /// `EEXIST`: an object of another kind is there.
        OtherKind => "an object of another kind is there",
        /// `EEXIST`: one of another version of this crate is there.
        OtherVersion => "an object of another version of the crate is there",
        /// `EEXIST`: one of this kind is there, but its size, or that of the values in it, is another.
        OtherLayout => "an object of this kind is there, but its size or that of its values is another",
        /// `ETIMEDOUT`: somebody began to initialise it and, though alive, did not complete that for ten seconds; or
        /// something is there that is not an object.
        TimedOut: ETIMEDOUT => "nobody completed its initialisation within 10 seconds; perhaps it is no object",
        /// `EACCES`: the handle was restricted.
        Denied: EACCES => RESTRICTED,
        /// `ENOSPC`: the handle, or the segment, has as many robust words as it may have.
        TooMany: ENOSPC => "the handle or the segment has as many robust words as it may",
        /// `ENOMEM`: no memory for the kernel to tend it or to wait with.
        NoMemory: ENOMEM => "no memory",
        /// `ENOTTY`: the module does not know the calls that it needs.
        Unsupported: ENOTTY => OLD_MODULE,
    }

    /// Why adding or removing an eventfd failed.
    EventfdErrorKind {
        /// `EINVAL`: the descriptor is not an eventfd, the offset is not a multiple of 4, or the word does not
        /// lie within the segment, rounded up to pages.
        Invalid: EINVAL => "the descriptor is not an eventfd, or the offset not that of a word of the segment",
        /// `EBADF`: the descriptor is not open.
        NotOpen: EBADF => "the descriptor is not open",
        /// `EACCES`: the handle is not open for reading, or was restricted to less.
        Denied: EACCES => "the handle is not open for reading, or was restricted to less",
        /// `ENOSPC`: the handle, or the segment, has as many eventfds as it may have.
        TooMany: ENOSPC => "the handle or the segment has as many eventfds as it may",
        /// `ENOENT`: the eventfd was not added through this handle, or was removed.
        NotAdded: ENOENT => "the eventfd was not added through this handle",
        /// `ENOMEM`: no memory for it.
        NoMemory: ENOMEM => "no memory",
        /// `ENOTTY`: the module does not know the call.
        Unsupported: ENOTTY => OLD_MODULE,
    }

    /// Why ending an access to a range failed.
    EndErrorKind {
        /// `ENOENT`: the handle does not hold that range for that access (any more).
        NotHeld: ENOENT => "the handle does not hold this range",
        /// `EINVAL`: the range is empty or does not lie within the segment.
        Invalid: EINVAL => RANGE,
    }

    /// Why reading or writing through the descriptor failed.
    TransferErrorKind {
        /// `ENOSPC`: a write at or past the end.
        NoSpace: ENOSPC => "no room at or past the end of the segment",
        /// `ENODATA`: the segment ended before all the bytes were read.
        UnexpectedEnd => "the segment ends before that",
        /// `EBADF`: the handle is not open for that.
        Denied: EBADF => "the handle is not open for that",
        /// `EACCES`: the handle was restricted to the other access, or to bytes that begin later.
        Restricted: EACCES => "the handle was restricted to the other access, or to bytes that begin later",
        /// `EINVAL`: the offset does not fit in a signed 64-bit number.
        Invalid: EINVAL | EOVERFLOW => "no such offset",
        /// `EINTR`: a signal came first.
        Interrupted: EINTR => "interrupted by a signal",
    }

    /// Why waiting for a change failed.
    PollErrorKind {
        /// `EBADF`: the handle is not open for reading, so it would wait for ever.
        Denied: EBADF => "the handle is not open for reading, so no change would ever be reported",
        /// `EIDRM`: the device reported that the segment is gone.
        Gone: EIDRM => "the segment is gone",
        /// `ENOMEM`: no memory for the wait.
        NoMemory: ENOMEM => "no memory",
    }
}
