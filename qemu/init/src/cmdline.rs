// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel's command line says to PID 1. Pure.

/// What PID 1 was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// `shmdev.fault=`: misbehave like this.
    pub fault: Option<Fault>,
    /// `shmdev.standalone=`: there is no host to talk to; do this on the serial console.
    pub standalone: Option<Standalone>,
    /// `shmdev.kernel=`: what the tools call this kernel, for the tests where there is no host to tell them.
    pub kernel: String,
    /// `shmdev.probe`: power off as soon as the host has been greeted.
    pub probe: bool,
}

/// A way for the guest to fail, so that the host's reaction to it can be tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The kernel panics while the job runs.
    Panic,
    /// Everything stops while the job runs.
    Hang,
    /// The machine is switched off while the job runs.
    PowerOff,
    /// The host is never greeted.
    Silent,
    /// The job ends, and its status is not told.
    NoVerdict,
}

/// What to do on the serial console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standalone {
    /// A shell.
    Shell,
    /// The tests.
    Tests,
}

impl Options {
    /// Reads the kernel's command line; words that are not for PID 1 are passed over.
    pub fn parse(line: &str) -> Self {
        let mut options = Options::default();
        for word in line.split_ascii_whitespace() {
            match word {
                "shmdev.fault=panic" => options.fault = Some(Fault::Panic),
                "shmdev.fault=hang" => options.fault = Some(Fault::Hang),
                "shmdev.fault=poweroff" => options.fault = Some(Fault::PowerOff),
                "shmdev.fault=silent" => options.fault = Some(Fault::Silent),
                "shmdev.fault=noverdict" => options.fault = Some(Fault::NoVerdict),
                "shmdev.standalone=shell" => options.standalone = Some(Standalone::Shell),
                "shmdev.standalone=tests" => options.standalone = Some(Standalone::Tests),
                "shmdev.probe" => options.probe = true,
                word => {
                    if let Some(kernel) = word.strip_prefix("shmdev.kernel=") {
                        options.kernel = kernel.to_owned();
                    }
                }
            }
        }
        options
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_asked_for_unless_it_is_written() {
        let line = "console=ttyS0 quiet fault=panic shmdev.fault shmdev.fault=pan\n";
        assert_eq!(Options::parse(line), Options::default());
    }

    #[test]
    fn words_are_found_among_others() {
        let options = Options::parse("quiet shmdev.fault=hang shmdev.probe panic=-1\n");
        assert_eq!(options.fault, Some(Fault::Hang));
        assert!(options.probe);
        let options = Options::parse("shmdev.standalone=tests shmdev.kernel=debug");
        assert_eq!(options.standalone, Some(Standalone::Tests));
        assert_eq!(options.kernel, "debug");
    }
}
