// SPDX-License-Identifier: MIT OR Apache-2.0
//! How long a guest may take for what, and when it has taken too long. Knows times only, no guest.

use std::time::{Duration, Instant};

/// How long things may take; `None` is for ever.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From the start until the job runs.
    pub boot: Option<Duration>,
    /// Between signs of life, once the job runs.
    pub silence: Option<Duration>,
    /// Between outputs of the job.
    pub idle: Option<Duration>,
    /// For all of it.
    pub overall: Option<Duration>,
    /// From the host's goodbye until QEMU has ended.
    pub power_off: Duration,
}

impl Limits {
    /// None but the last, where a person with a debugger may stop the guest at any time.
    pub fn lifted(self, debugged: bool) -> Self {
        let limit = |limit: Option<Duration>| limit.filter(|_| !debugged);
        Limits {
            boot: limit(self.boot),
            silence: limit(self.silence),
            idle: limit(self.idle),
            overall: limit(self.overall),
            ..self
        }
    }
}

/// Why a guest was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// It did not start the job in time.
    Boot,
    /// It gave no sign of life.
    Silence,
    /// Its job wrote nothing.
    Idle,
    /// It took too long.
    Overall,
    /// It did not power off when it was told to.
    PowerOff,
    /// A signal to xtask, or a reader of the output that went away.
    Interrupted(i32),
}

/// What is awaited, and until when.
#[derive(Debug)]
pub struct Clock {
    limits: Limits,
    start: Instant,
    last_sign: Instant,
    last_output: Instant,
    goodbye: Option<Instant>,
    /// The job runs.
    pub started: bool,
    /// The person has asked once for the job to end.
    pub signalled: bool,
    /// What the job wrote to standard output and error, as PID 1 counted it.
    pub expected: Option<[u64; 2]>,
}

impl Clock {
    /// Starts now.
    pub fn new(limits: Limits) -> Self {
        let now = Instant::now();
        Clock {
            limits,
            start: now,
            last_sign: now,
            last_output: now,
            goodbye: None,
            started: false,
            signalled: false,
            expected: None,
        }
    }

    /// The guest gave a sign of life.
    pub fn alive(&mut self) {
        self.last_sign = Instant::now();
    }

    /// The job wrote something.
    pub fn output(&mut self) {
        self.last_output = Instant::now();
        self.alive();
    }

    /// The guest was told to power off.
    pub fn say_goodbye(&mut self) {
        self.goodbye = Some(Instant::now());
    }

    fn deadlines(&self) -> Vec<(Instant, Cut)> {
        if let Some(goodbye) = self.goodbye {
            return vec![(goodbye + self.limits.power_off, Cut::PowerOff)];
        }
        let at = |from: Instant, limit: Option<Duration>, cut| limit.map(|limit| (from + limit, cut));
        let overall = at(self.start, self.limits.overall, Cut::Overall);
        let others = if self.started {
            [
                at(self.last_sign, self.limits.silence, Cut::Silence),
                at(self.last_output, self.limits.idle, Cut::Idle),
            ]
        } else {
            [at(self.start, self.limits.boot, Cut::Boot), None]
        };
        others.into_iter().chain([overall]).flatten().collect()
    }

    /// How long to wait for something to come.
    pub fn patience(&self) -> Duration {
        let next = self.deadlines().into_iter().map(|(at, _)| at).min();
        next.map_or(Duration::from_secs(3600), |at| {
            at.saturating_duration_since(Instant::now())
        })
    }

    /// To be asked when nothing has come.
    pub fn expired(&self) -> Option<Cut> {
        let now = Instant::now();
        self.deadlines()
            .into_iter()
            .filter(|(at, _)| *at <= now)
            .min_by_key(|(at, _)| *at)
            .map(|(_, cut)| cut)
    }

    /// To be asked always: a guest that never falls silent must end too.
    pub fn overrun(&self) -> Option<Cut> {
        let limit = self.limits.overall?;
        (self.goodbye.is_none() && self.start.elapsed() > limit).then_some(Cut::Overall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Option<Duration> = Some(Duration::from_secs(3600));
    const NOW: Option<Duration> = Some(Duration::ZERO);

    fn limits() -> Limits {
        Limits {
            boot: LONG,
            silence: LONG,
            idle: LONG,
            overall: LONG,
            power_off: Duration::from_secs(3600),
        }
    }

    #[test]
    fn nothing_expires_before_its_time() {
        assert_eq!(Clock::new(limits()).expired(), None);
        assert!(Clock::new(limits()).patience() > Duration::from_secs(3000));
    }

    #[test]
    fn the_limit_of_the_boot_ends_with_the_boot() {
        let mut clock = Clock::new(Limits {
            boot: NOW,
            ..limits()
        });
        assert_eq!(clock.expired(), Some(Cut::Boot));
        clock.started = true;
        assert_eq!(clock.expired(), None);
    }

    #[test]
    fn silence_and_idleness_are_told_apart() {
        let silence = Limits {
            silence: NOW,
            ..limits()
        };
        let idle = Limits {
            idle: NOW,
            ..limits()
        };
        for (limits, cut) in [(silence, Cut::Silence), (idle, Cut::Idle)] {
            let mut clock = Clock::new(limits);
            assert_eq!(clock.expired(), None);
            clock.started = true;
            assert_eq!(clock.expired(), Some(cut));
        }
    }

    #[test]
    fn after_the_goodbye_only_the_power_off_is_awaited() {
        let mut clock = Clock::new(Limits {
            overall: NOW,
            power_off: Duration::ZERO,
            ..limits()
        });
        assert_eq!(clock.overrun(), Some(Cut::Overall));
        clock.say_goodbye();
        assert_eq!(clock.overrun(), None);
        assert_eq!(clock.expired(), Some(Cut::PowerOff));
    }

    #[test]
    fn a_debugger_may_take_its_time() {
        let short = Limits {
            boot: NOW,
            silence: NOW,
            idle: NOW,
            overall: NOW,
            ..limits()
        };
        assert!(Clock::new(short.lifted(false)).expired().is_some());
        let mut clock = Clock::new(short.lifted(true));
        assert_eq!((clock.expired(), clock.overrun()), (None, None));
        clock.started = true;
        assert_eq!(clock.expired(), None);
    }
}
