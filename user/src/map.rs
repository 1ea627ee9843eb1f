// SPDX-License-Identifier: MIT OR Apache-2.0

//! How the page tables of a segment's mappings are filled. Pure.

use std::str::FromStr;
use std::{fmt, io};

use crate::uapi::{MAP_FAULT, MAP_HUGE, MAP_MASK, MAP_PFN};

/// How a segment is mapped: chosen when it is [created](crate::SegmentOptions::map), the same for all its mappings.
///
/// Reading, writing, locking, waiting and all else of this crate are the same for all three.
///
/// | | [`Pfn`](Self::Pfn) | [`Fault`](Self::Fault) | [`Huge`](Self::Huge) |
/// |---|---|---|---|
/// | page table entries are made | all by `mmap` | 16 at a time, at the first touch | of 2 MiB, at the first touch; the rest by `mmap` |
/// | `O_DIRECT`, fixed buffers of io_uring, `process_vm_readv` | no | yes | no |
/// | a private copy ([`Segment::map_copy`](crate::Segment::map_copy)) | no | yes | no |
/// | `ptrace`, `/proc/PID/mem` | yes | yes | yes |
/// | counts for the resident size (RSS) of who touches it | no | yes | no |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Map {
    /// Eagerly, by number (`remap_pfn_range`): no access ever faults.
    Pfn,
    /// When they are touched, with up to 15 neighbours, and a reference for each.
    Fault,
    /// By entries of 2 MiB wherever memory, segment and address are aligned, by small ones for the rest.
    Huge,
}

impl Map {
    pub(crate) fn to_abi(self) -> u32 {
        match self {
            Self::Pfn => MAP_PFN,
            Self::Fault => MAP_FAULT,
            Self::Huge => MAP_HUGE,
        }
    }

    /// What the flags of a segment, or [`Info::default_map`](crate::Info), say: all that modules map that say
    /// nothing is [`Pfn`](Self::Pfn).
    #[must_use]
    pub fn from_abi(flags: u32) -> Self {
        match flags & MAP_MASK {
            MAP_FAULT => Self::Fault,
            MAP_HUGE => Self::Huge,
            _ => Self::Pfn,
        }
    }
}

impl fmt::Display for Map {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Pfn => "pfn",
            Self::Fault => "fault",
            Self::Huge => "huge",
        })
    }
}

impl FromStr for Map {
    type Err = MapNameError;

    fn from_str(text: &str) -> Result<Self, MapNameError> {
        match text {
            "pfn" => Ok(Self::Pfn),
            "fault" => Ok(Self::Fault),
            "huge" => Ok(Self::Huge),
            _ => Err(MapNameError(())),
        }
    }
}

/// What was read is no [`Map`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapNameError(());

impl fmt::Display for MapNameError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("expected pfn, fault or huge")
    }
}

impl std::error::Error for MapNameError {}

impl From<MapNameError> for io::Error {
    fn from(error: MapNameError) -> Self {
        Self::new(io::ErrorKind::InvalidInput, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_name_and_a_number() {
        for map in [Map::Pfn, Map::Fault, Map::Huge] {
            assert_eq!(map.to_string().parse(), Ok(map));
            assert_eq!(Map::from_abi(map.to_abi() | 1), map);
        }
        assert_eq!(Map::from_abi(0), Map::Pfn);
        assert_eq!(
            "pages".parse::<Map>().unwrap_err().to_string(),
            "expected pfn, fault or huge"
        );
    }
}
