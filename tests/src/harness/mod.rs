// SPDX-License-Identifier: MIT OR Apache-2.0

//! The harness: a table of tests, each of which runs in a process of its own, and a report in cargo's format.
//!
//! What a test may assume: the module is loaded with its default parameters, nobody else uses the device, there is no
//! segment but the default one, no byte is marked OWNER_DIED. What it must leave behind: the same, which the runner
//! checks. The contents of the default segment are whatever the last test wrote.

mod args;
mod child;
mod kmsg;
mod needs;
mod report;
mod runner;
mod state;

pub(crate) use args::{Args, Command};
pub(crate) use kmsg::Reader as LogReader;
pub(crate) use needs::{Need, on_debug_kernel, rmmod_path};
pub(crate) use runner::run;

/// One test: a function that panics when the behaviour is not as it should be.
pub(crate) struct Test {
    /// `module_path!()` of the topic.
    pub(crate) topic: &'static str,
    /// What is true when the test passes.
    pub(crate) sentence: &'static str,
    /// The test itself.
    pub(crate) function: fn(),
    /// What the guest must have for the test to make sense.
    pub(crate) needs: &'static [Need],
    /// After how many seconds the test counts as hung, on a stock kernel.
    pub(crate) seconds: u64,
    /// It takes more than a tenth of a second on a stock kernel without KVM: `--quick` leaves it out.
    pub(crate) slow: bool,
}

impl Test {
    /// `topic::sentence`, the name under which the test is reported and chosen.
    pub(crate) fn name(&self) -> String {
        let topic = self.topic.rsplit("::").next().unwrap_or(self.topic);
        format!("{topic}::{}", self.sentence)
    }
}

/// Registers the tests of a topic:
/// `tests![one, two needs [Debug], #[slow] three within 300, #[slow] four needs [Python] within 90];`
/// Functions that are not in the list are dead code, which the compiler reports.
macro_rules! tests {
    (@needs) => { &[] };
    (@needs $($need:ident),+) => { &[$($crate::harness::Need::$need),+] };
    (@seconds) => { 60 };
    (@seconds $seconds:literal) => { $seconds };
    (@slow) => { false };
    (@slow slow) => { true };
    ($($(#[$slow:ident])? $function:ident $(needs [$($need:ident),+])? $(within $seconds:literal)?),+ $(,)?) => {
        /// The tests of this topic, in the order in which they run.
        pub(crate) const TESTS: &[$crate::harness::Test] = &[$(
            $crate::harness::Test {
                topic: module_path!(),
                sentence: stringify!($function),
                function: $function,
                needs: tests!(@needs $($($need),+)?),
                seconds: tests!(@seconds $($seconds)?),
                slow: tests!(@slow $($slow)?),
            }
        ),+];
    };
}
pub(crate) use tests;
