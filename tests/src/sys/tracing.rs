// SPDX-License-Identifier: MIT OR Apache-2.0

//! The device's tracepoints, and the kernel's of page faults, in a trace buffer of one's own.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::Region;

/// An event: which, and its fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// Without `shmdev_`.
    pub(crate) name: String,
    pub(crate) pid: u32,
    pub(crate) fields: BTreeMap<String, String>,
}

impl Event {
    /// A field's value.
    #[track_caller]
    pub(crate) fn field(&self, name: &str) -> &str {
        self.fields
            .get(name)
            .unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }

    /// A field that is a number.
    #[track_caller]
    pub(crate) fn number(&self, name: &str) -> i64 {
        self.field(name)
            .parse()
            .unwrap_or_else(|_| panic!("{name} is no number in {self:?}"))
    }
}

/// A trace buffer that sees some events and no others. Gone when dropped.
pub(crate) struct Trace {
    folder: PathBuf,
    /// The folder of what it sees.
    events: &'static str,
}

impl Trace {
    /// The device's.
    pub(crate) fn new() -> Trace {
        Trace::of("events/shmdev", "")
    }

    fn of(events: &'static str, filter: &str) -> Trace {
        let folder: PathBuf = format!("/sys/kernel/tracing/instances/shmdev-{}", std::process::id()).into();
        fs::create_dir(&folder).expect("a trace buffer");
        let trace = Trace { folder, events };
        trace.put("tracing_on", "1");
        if !filter.is_empty() {
            trace.put(&format!("{events}/filter"), filter);
        }
        trace.put(&format!("{events}/enable"), "1");
        trace
    }

    fn put(&self, file: &str, value: &str) {
        fs::write(self.folder.join(file), value).unwrap_or_else(|error| panic!("{file} = {value}: {error}"));
    }

    /// What was traced so far, as text.
    pub(crate) fn text(&self) -> String {
        fs::read_to_string(self.folder.join("trace")).expect("trace")
    }

    /// What was traced so far, oldest first.
    pub(crate) fn events(&self) -> Vec<Event> {
        let text = self.text();
        text.lines()
            .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
            .map(|line| parse(line).unwrap_or_else(|| panic!("no event: {line:?}")))
            .collect()
    }

    /// Forgets what was traced so far.
    pub(crate) fn clear(&self) {
        self.put("trace", "");
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        // The events go with the module.
        let _ = fs::write(self.folder.join(self.events).join("enable"), "0");
        if let Err(error) = fs::remove_dir(&self.folder) {
            eprintln!("{}: {error}", self.folder.display());
        }
    }
}

/// How many page faults in the region this process takes while `body` runs, and none of its program's own.
pub(crate) fn page_faults(region: &Region, body: impl FnOnce()) -> usize {
    let (start, end) = (region.at(0).get(), region.at(region.len()).get());
    let filter = format!(
        "common_pid == {} && address >= {start:#x} && address < {end:#x}",
        std::process::id()
    );
    let trace = Trace::of("events/exceptions/page_fault_user", &filter);
    body();
    let text = trace.text();
    text.lines()
        .filter(|line| line.contains(": page_fault_user: "))
        .count()
}

/// A line `NAME-PID [CPU] FLAGS TIME: shmdev_EVENT: FIELD=VALUE ...`.
fn parse(line: &str) -> Option<Event> {
    let (head, tail) = line.split_once(": shmdev_")?;
    let (task, _) = head.split_once(" [")?;
    let (_, pid) = task.trim().rsplit_once('-')?;
    let (name, fields) = tail.split_once(':')?;
    let fields = fields
        .split_whitespace()
        .map(|field| {
            field
                .split_once('=')
                .map(|(name, value)| (name.into(), value.into()))
        })
        .collect::<Option<_>>()?;
    Some(Event {
        name: name.into(),
        pid: pid.trim().parse().ok()?,
        fields,
    })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_line_gives_process_event_and_fields() {
        let line = "    shmdev-tests-123     [001] .....    55.012345: shmdev_create: id=5 name= size=4096 mode=0600 uid=0";
        let event = parse(line).unwrap();
        assert_eq!((event.name.as_str(), event.pid), ("create", 123));
        assert_eq!((event.field("name"), event.number("size")), ("", 4096));
        assert_eq!(parse("bash-1 [000] ..... 1.0: sched_switch: a=b"), None);
    }
}
