// SPDX-License-Identifier: MIT OR Apache-2.0

//! Which segment a command is about: a name, `--id`, or the default segment. And what to call it.

use shmdev::{Name, Stat, Target};

use crate::failure::Failure;

/// For commands that can be about the default segment.
#[derive(clap::Args)]
pub(crate) struct Which {
    /// The segment; without it, the default segment
    name: Option<Name>,
    /// The segment's number, instead of its name
    #[arg(long, value_name = "N", conflicts_with = "name")]
    id: Option<u64>,
}

/// For commands that cannot.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Chosen {
    /// The segment
    name: Option<Name>,
    /// The segment's number, instead of its name
    #[arg(long, value_name = "N")]
    id: Option<u64>,
}

impl Which {
    pub(crate) fn target(&self) -> Target<'_> {
        target(self.name.as_ref(), self.id)
    }

    /// What failed once the segment was open; the library's error does not say with which segment.
    pub(crate) fn failure<K: shmdev::Kind>(&self, error: &shmdev::OpError<K>) -> Failure {
        Failure::told(format_args!("{}: {error}", self.target()), 1)
    }
}

impl Chosen {
    pub(crate) fn target(&self) -> Target<'_> {
        target(self.name.as_ref(), self.id)
    }
}

fn target(name: Option<&Name>, id: Option<u64>) -> Target<'_> {
    match (name, id) {
        (Some(name), _) => name.into(),
        (None, Some(id)) => Target::Id(id),
        (None, None) => Target::DEFAULT,
    }
}

/// What a segment is called where its number stands beside it. Names have no parentheses.
pub(crate) fn called(stat: &Stat) -> &str {
    match &stat.name {
        Some(name) => name.as_str(),
        None if stat.is_default() => "(default)",
        None => "(anonymous)",
    }
}

/// As messages of the library name it.
pub(crate) fn named(stat: &Stat) -> Target<'_> {
    match &stat.name {
        Some(name) if !stat.removed => name.into(),
        _ => Target::Id(stat.id),
    }
}
