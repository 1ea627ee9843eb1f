// SPDX-License-Identifier: MIT OR Apache-2.0

//! What can go wrong: one kind of error for each operation. It turns errnos into words and decides nothing
//! else.

use std::fmt::{self, Debug, Display};
use std::{error, io};

use nix::errno::Errno;

pub use self::kinds::*;
use crate::name::NameError;

mod kinds;

/// An operation that failed: which one it was, why, and the errno.
///
/// ```no_run
/// # let segment = shmdev::Segment::open_default()?;
/// match segment.map_range(1 << 20, 4096) {
///     Ok(mapping) => println!("mapped {} bytes", mapping.len()),
///     // map 4096 bytes at 1048576: the window does not lie within the segment (EINVAL)
///     Err(error) => println!("{error}"),
/// }
/// # Ok::<(), shmdev::OpenError>(())
/// ```
///
/// Each operation has its own name for this type and its own `Kind`, so a `match` shows what can be told
/// apart.
#[derive(Debug)]
pub struct OpError<Kind> {
    operation: String,
    kind: Kind,
    source: io::Error,
}

impl<K: Kind> OpError<K> {
    /// The operation's name and arguments, as in the message.
    #[must_use]
    pub fn operation(&self) -> &str {
        &self.operation
    }

    /// Why it failed.
    #[must_use]
    pub fn kind(&self) -> K {
        self.kind
    }

    /// The errno. Always `Some`: also where this crate refused a call that the kernel would have refused.
    #[must_use]
    pub fn raw_os_error(&self) -> Option<i32> {
        self.source.raw_os_error()
    }

    /// What the kernel said to `operation`.
    pub(crate) fn new(operation: impl Display, source: io::Error) -> Self {
        let kind = K::from_errno(errno(&source));
        Self::of_kind(operation, kind, source)
    }

    /// What the kernel said to `operation`, where the errno alone does not say which kind that is.
    pub(crate) fn of_kind(operation: impl Display, kind: K, source: io::Error) -> Self {
        Self {
            operation: operation.to_string(),
            kind,
            source,
        }
    }

    /// A refusal of our own, with the errno that the kernel has for it.
    pub(crate) fn refused(operation: impl Display, kind: K, errno: Errno) -> Self {
        Self::of_kind(operation, kind, errno.into())
    }

    /// What a call about another segment is told, if its name is none. For operations whose kinds include one
    /// for that, which is then what stands for `ENAMETOOLONG`.
    pub(crate) fn of_name(operation: impl Display, error: NameError) -> Self {
        Self::refused(operation, K::from_errno(Errno::ENAMETOOLONG), error.errno())
    }
}

pub(crate) fn errno(error: &io::Error) -> Errno {
    // memmap2 and std refuse some arguments themselves, without an errno: those are invalid ones.
    error.raw_os_error().map_or(Errno::EINVAL, Errno::from_raw)
}

impl<K: Kind> Display for OpError<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errno = errno(&self.source);
        let why = self.kind.why().unwrap_or_else(|| errno.desc());
        write!(f, "{}: {why} ({errno:?})", self.operation)
    }
}

impl<K: Kind> error::Error for OpError<K> {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.source)
    }
}

impl<K: Kind> From<OpError<K>> for io::Error {
    /// Keeps the [`io::ErrorKind`] and the message; the errno is then found in the
    /// [`source`](error::Error::source).
    fn from(error: OpError<K>) -> Self {
        Self::new(error.source.kind(), error)
    }
}

/// The `Kind` of an [`OpError`]. Sealed: implemented by the `…ErrorKind` enums of this crate.
pub trait Kind: sealed::Kind + Copy + Debug + Send + Sync + 'static {}

mod sealed {
    use nix::errno::Errno;

    pub trait Kind {
        fn from_errno(errno: Errno) -> Self;
        /// In words; `None` leaves it to the errno's own description.
        fn why(&self) -> Option<&'static str>;
    }
}

/// An access to a mapping that the mapping does not allow. The memory was not touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AccessError {
    /// Some of the bytes do not lie within the mapping.
    OutOfBounds {
        /// First byte asked for.
        offset: usize,
        /// How many bytes.
        len: usize,
        /// Length of the mapping.
        mapped: usize,
    },
    /// The address is not a multiple of the alignment that the type needs.
    Unaligned {
        /// First byte asked for.
        offset: usize,
        /// What it must be a multiple of.
        align: usize,
    },
    /// The mapping is read-only.
    ReadOnly,
}

impl Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfBounds { offset, len, mapped } => {
                write!(
                    f,
                    "{len} bytes at {offset} do not lie within the {mapped} bytes of the mapping"
                )
            }
            Self::Unaligned { offset, align } => write!(f, "offset {offset} is not a multiple of {align}"),
            Self::ReadOnly => f.write_str("the mapping is read-only"),
        }
    }
}

impl error::Error for AccessError {}

impl From<AccessError> for io::Error {
    fn from(error: AccessError) -> Self {
        let kind = match error {
            AccessError::ReadOnly => io::ErrorKind::PermissionDenied,
            AccessError::OutOfBounds { .. } | AccessError::Unaligned { .. } => io::ErrorKind::InvalidInput,
        };
        Self::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::sealed::Kind as _;
    use super::*;

    fn from_kernel<K: Kind>(operation: &str, errno: Errno) -> OpError<K> {
        OpError::new(operation, io::Error::from(errno))
    }

    #[test]
    fn a_message_names_the_operation_the_reason_and_the_errno() {
        let error: MapError = from_kernel("map 4096 bytes at 1048576", Errno::EINVAL);
        assert_eq!(
            error.to_string(),
            "map 4096 bytes at 1048576: the window does not lie within the segment (EINVAL)"
        );
        let error: BeginError = from_kernel("lock 0:4096", Errno::ETIMEDOUT);
        assert_eq!(error.to_string(), "lock 0:4096: timed out (ETIMEDOUT)");
        let error: OpenError = from_kernel("open /dev/shmdev", Errno::ENOENT);
        assert_eq!(
            error.to_string(),
            "open /dev/shmdev: no such device; is the module shmdev loaded? (ENOENT)"
        );
    }

    #[test]
    fn an_errno_without_a_kind_is_still_told() {
        let error: StatError = from_kernel("stat", Errno::EIO);
        assert_eq!(error.kind(), StatErrorKind::Other);
        assert_eq!(error.to_string(), "stat: I/O error (EIO)");
        assert_eq!(error.raw_os_error(), Some(Errno::EIO as i32));
    }

    #[test]
    fn each_errno_of_begin_has_its_kind() {
        let kinds = [
            (Errno::EINVAL, BeginErrorKind::Invalid),
            (Errno::EACCES, BeginErrorKind::Denied),
            (Errno::EDEADLK, BeginErrorKind::Deadlock),
            (Errno::EAGAIN, BeginErrorKind::Busy),
            (Errno::ETIMEDOUT, BeginErrorKind::TimedOut),
            (Errno::EINTR, BeginErrorKind::Interrupted),
            (Errno::ENOLCK, BeginErrorKind::TooMany),
            (Errno::ENOMEM, BeginErrorKind::NoMemory),
            (Errno::EFAULT, BeginErrorKind::Other),
        ];
        for (errno, kind) in kinds {
            let error: BeginError = from_kernel("lock", errno);
            assert_eq!(error.kind(), kind, "{errno}");
            assert_eq!(error.raw_os_error(), Some(errno as i32));
        }
    }

    /// The rows of `docs/abi.md` that can reach a caller of this crate.
    #[test]
    fn each_errno_of_the_abi_has_words_of_its_own() {
        use Errno::*;
        fn told<K: Kind + PartialEq>(operation: &str, errnos: &[Errno]) {
            for errno in errnos {
                let error: OpError<K> = from_kernel(operation, *errno);
                assert!(error.kind().why().is_some(), "{operation} {errno:?}");
            }
        }
        let target = [ENAMETOOLONG, ENOENT, EIDRM, EACCES];
        told::<OpenErrorKind>("open", &[EACCES, ENOMEM, ENOSPC, EINVAL, EOPNOTSUPP, ENOTTY]);
        told::<StatErrorKind>("stat", &[ENAMETOOLONG, ENOENT, EACCES]);
        told::<StatErrorKind>("stat by handle", &[ENOMEM, ENOSPC, EINTR, ENXIO, ENOTTY]);
        told::<SetErrorKind>("set", &target);
        told::<SetErrorKind>("set", &[EINVAL, EPERM, ENOTTY]);
        told::<ResizeErrorKind>("resize", &target);
        told::<ResizeErrorKind>("resize", &[EINVAL, EPERM, EBUSY, ENOSPC, ENOMEM, EINTR, ENOTTY]);
        told::<RemoveErrorKind>("remove", &target);
        told::<RemoveErrorKind>("remove", &[EINVAL, EPERM, ENOTTY]);
        told::<ListErrorKind>("list", &[EACCES, ENOMEM, ENOTTY]);
        told::<RestrictErrorKind>("restrict", &[EINVAL, EACCES, ENOTTY]);
        told::<MapErrorKind>("map", &[EINVAL, EOVERFLOW, EACCES, EPERM, ENOMEM]);
        told::<WaitErrorKind>("wait", &[EINVAL, EACCES, ENOMEM, ENOTTY]);
        told::<WakeErrorKind>("wake", &[EINVAL, EACCES, ENOTTY]);
        told::<RequeueErrorKind>("requeue", &[EINVAL, EACCES, ENOTTY]);
        told::<RobustErrorKind>("robust", &[EINVAL, EACCES, ENOSPC, ENOENT, ENOMEM, ENOTTY]);
        told::<EventfdErrorKind>(
            "eventfd",
            &[EINVAL, EBADF, EACCES, ENOSPC, ENOENT, ENOMEM, ENOTTY],
        );
        told::<EndErrorKind>("unlock", &[ENOENT, EINVAL]);
        told::<TransferErrorKind>("read", &[ENOSPC, EBADF, EACCES, EINVAL]);

        for errno in [
            EINVAL, EBUSY, EEXIST, EACCES, ENOSPC, ENOMEM, EINTR, ENXIO, ENOENT, EIDRM, EXDEV, ENOTTY,
        ] {
            assert_ne!(
                OpenErrorKind::of_attaching(errno),
                OpenErrorKind::Other,
                "{errno:?}"
            );
        }
    }

    #[test]
    fn creating_and_opening_tell_the_device_from_the_segment() {
        let create = |errno: Errno| {
            let kind = OpenErrorKind::of_attaching(errno);
            OpError::of_kind("create \"frames\"", kind, errno.into()).to_string()
        };
        assert_eq!(create(Errno::EEXIST), "create \"frames\": name exists (EEXIST)");
        assert_eq!(
            create(Errno::ENOSPC),
            "create \"frames\": over a limit of the module: on segments, bytes of one, bytes of all or bytes a \
             user (ENOSPC)"
        );
        assert_eq!(
            OpenErrorKind::of_attaching(Errno::ENOENT),
            OpenErrorKind::NoSegment
        );
        assert_eq!(OpenErrorKind::from_errno(Errno::ENOENT), OpenErrorKind::NotFound);
    }

    #[test]
    fn our_own_refusals_carry_the_kernels_errno() {
        let error = MapError::refused("map 0 bytes at 0", MapErrorKind::Empty, Errno::EINVAL);
        assert_eq!(
            error.to_string(),
            "map 0 bytes at 0: nothing to map; a mapping has at least one byte (EINVAL)"
        );
        assert_eq!(error.raw_os_error(), Some(22));
    }

    #[test]
    fn an_io_error_made_of_one_keeps_kind_message_and_errno() {
        let error: io::Error = from_kernel::<BeginErrorKind>("lock 0:1", Errno::ETIMEDOUT).into();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(error.to_string(), "lock 0:1: timed out (ETIMEDOUT)");
        let source = error
            .source()
            .and_then(|source| source.downcast_ref::<io::Error>());
        assert_eq!(
            source.and_then(io::Error::raw_os_error),
            Some(Errno::ETIMEDOUT as i32)
        );
    }

    #[test]
    fn access_errors_name_the_bounds() {
        let error = AccessError::OutOfBounds {
            offset: 4090,
            len: 8,
            mapped: 4096,
        };
        assert_eq!(
            error.to_string(),
            "8 bytes at 4090 do not lie within the 4096 bytes of the mapping"
        );
        let error = AccessError::Unaligned { offset: 3, align: 4 };
        assert_eq!(error.to_string(), "offset 3 is not a multiple of 4");
    }
}
