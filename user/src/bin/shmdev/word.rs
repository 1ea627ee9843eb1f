// SPDX-License-Identifier: MIT OR Apache-2.0

//! A word of a segment: four bytes that are loaded and stored in one step, through a mapping of their page.

use std::sync::atomic::{AtomicU32, Ordering};

use shmdev::uapi::WORD_SIZE;
use shmdev::{MapError, MapErrorKind, Mapping, Segment, Target};

use crate::failure::{Failure, Result};

/// Which one.
#[derive(clap::Args)]
pub(crate) struct Place {
    /// Where the word is in the segment: a multiple of 4
    #[arg(long, short, value_parser = crate::parse::word_offset, default_value = "0")]
    pub(crate) offset: u64,
}

pub(crate) struct Word {
    /// Ends with the word.
    mapping: Mapping,
}

impl Word {
    /// To load it, or to store too. `offset` is a multiple of 4.
    pub(crate) fn map(segment: &Segment, offset: u64, writable: bool) -> std::result::Result<Self, MapError> {
        let start = offset - offset % u64::from(segment.info().page_size.max(1));
        // Less than a page, and the word.
        let len = (offset - start + WORD_SIZE) as usize;
        let mapping = match writable {
            true => segment.map_range(start, len),
            false => segment.map_range_read_only(start, len),
        };
        Ok(Self { mapping: mapping? })
    }

    pub(crate) fn load(&self) -> Result<u32> {
        // An aligned integer is loaded in one step.
        let value = self.mapping.get(self.at());
        value.map_err(|error| Failure::told(error, 1))
    }

    pub(crate) fn store(&self, value: u32) -> Result {
        let word = self.mapping.atomic::<AtomicU32>(self.at());
        word.map_err(|error| Failure::told(error, 1))?
            .store(value, Ordering::SeqCst);
        Ok(())
    }

    fn at(&self) -> usize {
        self.mapping.len() - WORD_SIZE as usize
    }
}

/// Why the word could not be mapped; of all that is mapped it alone was asked for.
pub(crate) fn failure(target: Target<'_>, offset: u64, error: &MapError) -> Failure {
    match error.kind() {
        MapErrorKind::PastEnd => Failure::told(
            format_args!("{target}: the word at {offset}: past the end of the segment (EINVAL)"),
            1,
        ),
        _ => Failure::told(format_args!("{target}: {error}"), 1),
    }
}
