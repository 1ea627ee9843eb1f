// SPDX-License-Identifier: MIT OR Apache-2.0

//! Names of segments, and how calls say which segment they are about. Pure.

use std::str::FromStr;
use std::{error, fmt, io};

use nix::errno::Errno;

use crate::uapi::{self, BY_HANDLE, BY_ID, BY_NAME, NAME_SIZE};

/// A segment's name: 1 to 63 of the characters `A-Z a-z 0-9 . _ -`, but neither `.` nor `..`.
///
/// Calls take any `&str` and check it themselves; this type is for names that are kept, and for checking one
/// before it is used.
///
/// ```
/// use shmdev::{Name, NameError};
///
/// let name: Name = "camera-0.frames".parse()?;
/// assert_eq!(name.as_str(), "camera-0.frames");
/// assert_eq!("a/b".parse::<Name>(), Err(NameError::BadCharacter('/')));
/// # Ok::<(), NameError>(())
/// ```
///
/// # Invariants
///
/// The bytes are a name, followed by zeros alone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name([u8; NAME_SIZE]);

impl Name {
    /// How many bytes a name has at most.
    pub const MAX_LEN: usize = NAME_SIZE - 1;

    /// Checks `name`.
    ///
    /// # Errors
    ///
    /// See [`NameError`].
    pub fn new(name: &str) -> Result<Self, NameError> {
        let allowed = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        match name {
            "" => return Err(NameError::Empty),
            "." | ".." => return Err(NameError::Dots),
            _ if name.len() > Self::MAX_LEN => return Err(NameError::TooLong(name.len())),
            _ => {}
        }
        if let Some(bad) = name.chars().find(|c| !allowed(c)) {
            return Err(NameError::BadCharacter(bad));
        }
        let mut field = [0; NAME_SIZE];
        field[..name.len()].copy_from_slice(name.as_bytes());
        Ok(Self(field))
    }

    /// As the ABI writes it; `None` for a segment without a name.
    pub(crate) fn from_abi(field: &[u8; NAME_SIZE]) -> Option<Self> {
        let len = field.iter().position(|byte| *byte == 0)?;
        let name = std::str::from_utf8(&field[..len]).ok()?;
        Self::new(name).ok()
    }

    /// As the ABI writes it.
    pub(crate) fn to_abi(self) -> [u8; NAME_SIZE] {
        self.0
    }

    /// The characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let len = self.0.iter().position(|byte| *byte == 0).unwrap_or(NAME_SIZE);
        // By the invariant it is ASCII.
        std::str::from_utf8(&self.0[..len]).unwrap_or_default()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        Self::new(name)
    }
}

impl TryFrom<&str> for Name {
    type Error = NameError;

    fn try_from(name: &str) -> Result<Self, NameError> {
        Self::new(name)
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

/// Why something is no [`Name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameError {
    /// It is empty.
    Empty,
    /// It has more than [`Name::MAX_LEN`] bytes: this many.
    TooLong(usize),
    /// It has this character.
    BadCharacter(char),
    /// It is `.` or `..`.
    Dots,
}

impl NameError {
    /// What the kernel says of such a name.
    pub(crate) fn errno(self) -> Errno {
        match self {
            Self::TooLong(_) => Errno::ENAMETOOLONG,
            Self::Empty | Self::BadCharacter(_) | Self::Dots => Errno::EINVAL,
        }
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a name has at least one character"),
            Self::TooLong(len) => write!(f, "a name has at most {} bytes, not {len}", Name::MAX_LEN),
            Self::BadCharacter(bad) => write!(f, "a name is made of A-Z a-z 0-9 . _ -, not of {bad:?}"),
            Self::Dots => f.write_str("`.` and `..` are no names"),
        }
    }
}

impl error::Error for NameError {}

impl From<NameError> for io::Error {
    fn from(error: NameError) -> Self {
        Self::new(io::ErrorKind::InvalidInput, error)
    }
}

/// Which segment a call is about, of those in the device handle's IPC namespace.
///
/// Calls take `impl Into<Target>`: a name, or an id as a `u64`.
///
/// ```no_run
/// # use shmdev::{Device, Target};
/// let device = Device::open()?;
/// let id = device.stat("frames")?.id;
/// device.remove(id)?;             // that very segment, whatever has its name by now
/// device.remove(Target::Id(7))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target<'a> {
    /// The segment that has this name now.
    Name(&'a str),
    /// The segment with this number, whatever its name. Numbers are not used again while the module is
    /// loaded; 0 is the default segment. An anonymous segment can be asked about by its number, but not
    /// opened or changed.
    Id(u64),
}

impl Target<'_> {
    /// The default segment.
    pub const DEFAULT: Self = Self::Id(0);

    pub(crate) fn to_abi(self) -> Result<uapi::Target, NameError> {
        let none = uapi::Target::default();
        Ok(match self {
            Self::Id(id) => uapi::Target {
                id,
                by: BY_ID,
                ..none
            },
            Self::Name(name) => uapi::Target {
                name: Name::new(name)?.to_abi(),
                by: BY_NAME,
                ..none
            },
        })
    }
}

/// The segment that the handle is attached to.
pub(crate) const OWN: uapi::Target = uapi::Target {
    name: [0; NAME_SIZE],
    id: 0,
    by: BY_HANDLE,
    reserved: 0,
};

impl fmt::Display for Target<'_> {
    /// As messages name it: `"frames"`, `segment 7`, `the default segment`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "{name:?}"),
            Self::Id(0) => f.write_str("the default segment"),
            Self::Id(id) => write!(f, "segment {id}"),
        }
    }
}

impl<'a> From<&'a str> for Target<'a> {
    fn from(name: &'a str) -> Self {
        Self::Name(name)
    }
}

impl<'a> From<&'a String> for Target<'a> {
    fn from(name: &'a String) -> Self {
        Self::Name(name)
    }
}

impl<'a> From<&'a Name> for Target<'a> {
    fn from(name: &'a Name) -> Self {
        Self::Name(name.as_str())
    }
}

impl From<u64> for Target<'_> {
    fn from(id: u64) -> Self {
        Self::Id(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_1_to_63_allowed_characters_pass() {
        let longest = "x".repeat(63);
        for text in [
            "a",
            "...",
            ".a",
            "-",
            "AZaz09._-",
            "camera-0.frames",
            longest.as_str(),
        ] {
            let name: Name = text.parse().unwrap();
            assert_eq!((name.as_str(), name.to_string().as_str()), (text, text));
            assert_eq!(Name::from_abi(&name.to_abi()), Some(name));
            assert_eq!(name, text);
        }
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_reason() {
        let cases = [
            ("", NameError::Empty),
            (".", NameError::Dots),
            ("..", NameError::Dots),
            ("a/b", NameError::BadCharacter('/')),
            ("a b", NameError::BadCharacter(' ')),
            ("a\0", NameError::BadCharacter('\0')),
            ("\n", NameError::BadCharacter('\n')),
            ("\u{7f}", NameError::BadCharacter('\u{7f}')),
            ("xß", NameError::BadCharacter('ß')),
            ("日本", NameError::BadCharacter('日')),
            ("ab🦀", NameError::BadCharacter('🦀')),
        ];
        for (text, error) in cases {
            assert_eq!(Name::new(text), Err(error), "{text:?}");
            assert_eq!(error.errno(), Errno::EINVAL);
        }
        let error = Name::new(&"x".repeat(64)).unwrap_err();
        assert_eq!(error, NameError::TooLong(64));
        assert_eq!(error.errno(), Errno::ENAMETOOLONG);
        assert_eq!(error.to_string(), "a name has at most 63 bytes, not 64");
    }

    #[test]
    fn what_the_kernel_would_never_write_is_no_name() {
        assert_eq!(Name::from_abi(&[0; NAME_SIZE]), None);
        assert_eq!(Name::from_abi(&[b'x'; NAME_SIZE]), None);
        assert_eq!(Name::from_abi(&[0xff; NAME_SIZE]), None);
    }

    #[test]
    fn names_sort_as_their_text_does() {
        let mut names: Vec<Name> = ["b", "a.b", "a", "ab", "B"]
            .iter()
            .map(|n| n.parse().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["B", "a", "a.b", "ab", "b"]);
    }

    #[test]
    fn targets_are_what_the_abi_says() {
        let by_name = Target::from("frames").to_abi().unwrap();
        assert_eq!((by_name.by, by_name.id), (2, 0));
        assert_eq!(&by_name.name[..7], b"frames\0");
        assert_eq!(
            Target::from(7).to_abi(),
            Ok(uapi::Target {
                id: 7,
                by: 1,
                ..uapi::Target::default()
            })
        );
        assert_eq!(OWN, uapi::Target::default());
        assert_eq!(Target::from("a/b").to_abi(), Err(NameError::BadCharacter('/')));
    }

    #[test]
    fn targets_are_shown_as_messages_name_them() {
        assert_eq!(Target::from("frames").to_string(), "\"frames\"");
        assert_eq!(Target::from("a\nb").to_string(), "\"a\\nb\"");
        assert_eq!(Target::Id(7).to_string(), "segment 7");
        assert_eq!(Target::DEFAULT.to_string(), "the default segment");
    }
}
