// SPDX-License-Identifier: MIT OR Apache-2.0

//! The command line.

use anyhow::{Result, bail};
use clap::Parser;
use shmdev_bench_model::MEASURES;

/// Measure what /dev/shmdev and its peers cost, and print a line of JSON for each figure
///
/// Figures are instructions, which QEMU counts when it is started with `-icount shift=0,sleep=off`.
#[derive(Clone, Debug, Default, Parser)]
#[command(name = "shmdev-bench")]
pub struct Arguments {
    /// Measure time by the guest's clock instead
    #[arg(long)]
    pub wall: bool,
    /// Take fewer batches
    #[arg(long)]
    pub quick: bool,
    /// Only measures whose id has one of these in it
    #[arg(value_name = "FILTER")]
    pub filters: Vec<String>,
}

impl Arguments {
    /// A filter that no measure fits is a mistake, not a short run.
    pub fn check(&self) -> Result<()> {
        for filter in &self.filters {
            if !MEASURES
                .iter()
                .any(|measure| measure.id.contains(filter.as_str()))
            {
                let ids: Vec<_> = MEASURES.iter().map(|measure| measure.id).collect();
                bail!(
                    "no measure has {filter:?} in its id; they are: {}",
                    ids.join(", ")
                );
            }
        }
        Ok(())
    }

    /// Whether this measure is to be taken.
    pub fn wants(&self, id: &str) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| id.contains(filter.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Arguments {
        Arguments::try_parse_from([&["shmdev-bench"], words].concat()).unwrap()
    }

    #[test]
    fn filters_are_parts_of_ids() {
        let arguments = parse(&["--quick", "wake", "null"]);
        assert!(arguments.quick && !arguments.wall);
        assert!(arguments.wants("wake_nobody") && arguments.wants("null_call"));
        assert!(!arguments.wants("attach_4m"));
        assert!(parse(&["--wall"]).wants("attach_4m"));
    }

    #[test]
    fn a_filter_that_fits_nothing_is_refused_with_what_there_is() {
        assert!(parse(&["null"]).check().is_ok());
        let error = parse(&["nul", "no such"]).check().unwrap_err().to_string();
        assert!(
            error.contains("no such") && error.contains("null_call"),
            "{error}"
        );
    }
}
