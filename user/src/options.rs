// SPDX-License-Identifier: MIT OR Apache-2.0

//! How to open or create a segment. It refuses what the kernel would have one errno for with many meanings,
//! so that the rest can be told apart.

use std::os::fd::AsFd;
use std::path::Path;

use nix::errno::Errno;

use crate::device::{Device, OpenOptions};
use crate::error::{OpenError, OpenErrorKind, errno};
use crate::map::Map;
use crate::name::{Name, NameError, Target};
use crate::segment::Segment;
use crate::sys;
use crate::uapi::{self, CREATE_AUTO_REMOVE, CREATE_EXCLUSIVE, STATUS_CREATED};

/// How to open a segment, and how to create it if it is not there: as [`std::fs::OpenOptions`].
///
/// ```no_run
/// use shmdev::SegmentOptions;
///
/// // Open it, or create it with 64 KiB that the group may read.
/// let frames = SegmentOptions::new().create(true).size(64 << 10).mode(0o640).open("frames")?;
/// if frames.was_created() {
///     println!("it is new, and all zero");
/// }
///
/// // A reader that changes nothing.
/// let view = SegmentOptions::new().write(false).open("frames")?.map_read_only()?;
///
/// // One without a name, to be passed as a descriptor: it goes with its last user.
/// let secret = SegmentOptions::new().size(4096).anonymous()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentOptions {
    device: OpenOptions,
    size: u64,
    mode: u32,
    create: bool,
    create_new: bool,
    auto_remove: bool,
    map: Option<Map>,
}

impl Default for SegmentOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl SegmentOptions {
    /// Reading and writing; creating nothing; what is created has mode 0o600.
    #[must_use]
    pub fn new() -> Self {
        Self {
            device: OpenOptions::new(),
            size: 0,
            mode: 0o600,
            create: false,
            create_new: false,
            auto_remove: false,
            map: None,
        }
    }

    /// Another device node than [`DEFAULT_PATH`](crate::DEFAULT_PATH).
    pub fn path(&mut self, path: impl AsRef<Path>) -> &mut Self {
        self.device.path(path);
        self
    }

    /// Whether to open for reading: what every mapping and a READ range need. On unless told otherwise.
    pub fn read(&mut self, read: bool) -> &mut Self {
        self.device.read(read);
        self
    }

    /// Whether to open for writing: what a writable mapping and a WRITE range need. On unless told otherwise.
    pub fn write(&mut self, write: bool) -> &mut Self {
        self.device.write(write);
        self
    }

    /// Size in bytes, at least 1, of a segment that is created. One that exists must have as many or more.
    /// Whole pages are taken (4097 bytes take two), but files and [`Segment::map`] end where it says.
    pub fn size(&mut self, bytes: u64) -> &mut Self {
        self.size = bytes;
        self
    }

    /// Permission bits of a segment that is created, 0 to 0o777: reading and writing for owner, group and
    /// others. No umask is applied. They do not limit the handle that creates it.
    pub fn mode(&mut self, mode: u32) -> &mut Self {
        self.mode = mode;
        self
    }

    /// Whether to create the segment if there is none of that name. Of several callers at one time, exactly
    /// one creates it: see [`Segment::was_created`].
    pub fn create(&mut self, create: bool) -> &mut Self {
        self.create = create;
        self
    }

    /// Whether to create the segment, and to fail with [`Exists`](OpenErrorKind::Exists) if there is one of
    /// that name. [`create`](Self::create) is ignored then.
    pub fn create_new(&mut self, create_new: bool) -> &mut Self {
        self.create_new = create_new;
        self
    }

    /// Whether a segment that is created goes with the last handle attached to it, as an anonymous one does:
    /// nothing is left behind, however its users end.
    pub fn auto_remove(&mut self, auto_remove: bool) -> &mut Self {
        self.auto_remove = auto_remove;
        self
    }

    /// How a segment that is created is mapped; unless told so, as the module's parameter `default_map` says. One
    /// that exists must be mapped so, too.
    pub fn map(&mut self, map: Map) -> &mut Self {
        self.map = Some(map);
        self
    }

    /// Opens the device, and `target`, a name or an id; or creates it, if that was asked for.
    ///
    /// # Errors
    ///
    /// Those of [`OpenOptions::open`], and, of [`OpenErrorKind`]:
    /// - opening: `NoSegment`, `Removed`, `SegmentDenied`, `InvalidName`, and for the default segment, where
    ///   the IPC namespace has none yet, `Limit`, `NoMemory`, `Interrupted`;
    /// - creating: `Exists`, `TooSmall`, `MappedOtherwise`, `SegmentDenied`, `InvalidName`, `InvalidSize`, `InvalidMode`,
    ///   `IdGiven`, `Limit`, `NoMemory`, `Interrupted`;
    /// - both: `Unsupported`.
    pub fn open<'a>(&self, target: impl Into<Target<'a>>) -> Result<Segment, OpenError> {
        let target = target.into();
        // Before the device is opened: the arguments alone are wrong.
        let request = self.request(Some(target))?;
        request.attach(self.device.open()?)
    }

    /// As [`open`](Self::open), with a device that is open already: `read`, `write` and `path` are ignored.
    ///
    /// # Errors
    ///
    /// Of those of [`open`](Self::open) the ones about the segment, and `Attached` and `NamespaceGone`.
    pub fn open_with<'a>(&self, device: Device, target: impl Into<Target<'a>>) -> Result<Segment, OpenError> {
        self.request(Some(target.into()))?.attach(device)
    }

    /// Opens the device and creates a segment of [`size`](Self::size) bytes without a name. Others get it by
    /// `fork`, or as a passed descriptor; it goes with the last handle.
    ///
    /// # Errors
    ///
    /// Those of [`OpenOptions::open`], and `InvalidSize`, `InvalidMode`, `Limit`, `NoMemory`, `Interrupted`
    /// and `Unsupported` of [`OpenErrorKind`].
    pub fn anonymous(&self) -> Result<Segment, OpenError> {
        let request = self.request(None)?;
        request.attach(self.device.open()?)
    }

    fn request(&self, target: Option<Target<'_>>) -> Result<Request, OpenError> {
        let creates = self.create || self.create_new || target.is_none();
        let verb = if creates { "create" } else { "open" };
        let operation = match target {
            Some(target) => format!("{verb} {target}"),
            None => "create an anonymous segment".to_owned(),
        };
        let call = match creates {
            true => self.create_call(target).map(Call::Create),
            false => target
                .unwrap_or(Target::DEFAULT)
                .to_abi()
                .map(Call::Open)
                .map_err(bad_name),
        };
        match call {
            Ok(call) => Ok(Request { operation, call }),
            Err((kind, errno)) => Err(OpenError::refused(operation, kind, errno)),
        }
    }

    fn create_call(&self, target: Option<Target<'_>>) -> Result<uapi::Create, (OpenErrorKind, Errno)> {
        let name = match target {
            None => uapi::Target::default().name,
            Some(Target::Name(name)) => Name::new(name).map_err(bad_name)?.to_abi(),
            Some(Target::Id(_)) => return Err((OpenErrorKind::IdGiven, Errno::EINVAL)),
        };
        if self.size == 0 {
            return Err((OpenErrorKind::InvalidSize, Errno::EINVAL));
        }
        if self.mode > 0o777 {
            return Err((OpenErrorKind::InvalidMode, Errno::EINVAL));
        }
        let flag = |on, bit| if on { bit } else { 0 };
        Ok(uapi::Create {
            name,
            size: self.size,
            mode: self.mode,
            flags: flag(self.create_new, CREATE_EXCLUSIVE)
                | flag(self.auto_remove, CREATE_AUTO_REMOVE)
                | self.map.map_or(0, Map::to_abi),
            ..uapi::Create::default()
        })
    }
}

fn bad_name(error: NameError) -> (OpenErrorKind, Errno) {
    (OpenErrorKind::InvalidName, error.errno())
}

/// What to ask the kernel, checked.
#[derive(Debug)]
struct Request {
    operation: String,
    call: Call,
}

#[derive(Debug, PartialEq)]
enum Call {
    Create(uapi::Create),
    Open(uapi::Target),
}

impl Request {
    fn attach(self, device: Device) -> Result<Segment, OpenError> {
        let result = match self.call {
            Call::Create(mut create) => {
                sys::create(device.as_fd(), &mut create).map(|()| create.status & STATUS_CREATED != 0)
            }
            Call::Open(target) => {
                let mut open = uapi::Open {
                    target,
                    ..uapi::Open::default()
                };
                sys::open(device.as_fd(), &mut open).map(|()| false)
            }
        };
        match result {
            Ok(created) => Ok(Segment::new(device, created)),
            Err(error) => {
                let kind = OpenErrorKind::of_attaching(errno(&error));
                Err(OpenError::of_kind(self.operation, kind, error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(options: &SegmentOptions, target: Option<Target<'_>>) -> (OpenErrorKind, String) {
        let error = options.request(target).unwrap_err();
        (error.kind(), error.to_string())
    }

    #[test]
    fn a_request_to_create_is_what_the_abi_says() {
        let mut options = SegmentOptions::new();
        options.size(4097).create(true);
        let request = options.request(Some("frames".into())).unwrap();
        assert_eq!(request.operation, "create \"frames\"");
        let mut expected = uapi::Create {
            size: 4097,
            mode: 0o600,
            ..uapi::Create::default()
        };
        expected.name[..6].copy_from_slice(b"frames");
        assert_eq!(request.call, Call::Create(expected));

        options.create_new(true).auto_remove(true).mode(0o777);
        let request = options.request(Some("frames".into())).unwrap();
        let expected = uapi::Create {
            mode: 0o777,
            flags: 3,
            ..expected
        };
        assert_eq!(request.call, Call::Create(expected));
    }

    #[test]
    fn without_create_it_is_a_request_to_open() {
        let request = SegmentOptions::new()
            .size(5)
            .mode(0o7777)
            .request(Some(7.into()))
            .unwrap();
        assert_eq!(request.operation, "open segment 7");
        assert_eq!(request.call, Call::Open(Target::Id(7).to_abi().unwrap()));
    }

    #[test]
    fn a_request_without_a_name_creates() {
        let request = SegmentOptions::new().size(1).request(None).unwrap();
        assert_eq!(request.operation, "create an anonymous segment");
        assert!(matches!(request.call, Call::Create(create) if create.name == [0; 64]));
    }

    #[test]
    fn what_the_kernel_would_refuse_as_invalid_is_told_apart() {
        let mut options = SegmentOptions::new();
        options.create(true);
        let (kind, message) = refusal(&options, Some("frames".into()));
        assert_eq!(kind, OpenErrorKind::InvalidSize);
        assert_eq!(
            message,
            "create \"frames\": a segment has at least one byte; say how many (EINVAL)"
        );

        options.size(1).mode(0o1000);
        assert_eq!(
            refusal(&options, Some("frames".into())).0,
            OpenErrorKind::InvalidMode
        );
        assert_eq!(refusal(&options, None).0, OpenErrorKind::InvalidMode);
        assert_eq!(refusal(&options, Some(7.into())).0, OpenErrorKind::IdGiven);

        for options in [options, SegmentOptions::new()] {
            let (kind, message) = refusal(&options, Some("a/b".into()));
            assert_eq!(kind, OpenErrorKind::InvalidName);
            assert!(message.ends_with("and neither . nor .. (EINVAL)"), "{message}");
            let (kind, message) = refusal(&options, Some("x".repeat(64).as_str().into()));
            assert_eq!(kind, OpenErrorKind::InvalidName);
            assert!(message.ends_with("(ENAMETOOLONG)"), "{message}");
        }
    }

    #[test]
    fn wrong_arguments_are_refused_before_the_device_is_opened() {
        let error = SegmentOptions::new().path("/nonexistent").open("").unwrap_err();
        assert_eq!(error.kind(), OpenErrorKind::InvalidName);
        let error = SegmentOptions::new().path("/nonexistent").open("a").unwrap_err();
        assert_eq!(error.kind(), OpenErrorKind::NotFound);
    }
}
