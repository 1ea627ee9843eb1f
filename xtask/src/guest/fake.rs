// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tests of the machinery without a guest: a shell script takes QEMU's place, speaks the protocol, and misbehaves in
//! every way that a guest can.

use std::{
    io,
    process::Command,
    time::{Duration, Instant},
};

use super::{
    clock::{Cut, Limits},
    outcome::{self, Verdict},
    protocol::{Exit, Job, ToHost, VERSION},
    qemu::Descriptors,
    report::Report,
    session::{Event, Output, Record, Session},
};

const GREETING: &str = "hello; started; say '\\nrunning 2 tests\\ntest a ... ok\\n';";
const RESULT: &str = "test b ... ok\\n\\ntest result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; \
    finished in 0.10s\\n\\n";
/// How many bytes a good guest says.
const SAID: u64 = 141;

/// A message as `printf` takes it.
fn escaped(message: &ToHost) -> String {
    let mut bytes = Vec::new();
    super::protocol::send(&mut bytes, &message.encode()).unwrap();
    bytes.iter().map(|byte| format!("\\{byte:03o}")).collect()
}

/// The script's vocabulary, then the script.
fn script(body: &str, open: Descriptors) -> Command {
    let message = |name: &str, message: &ToHost| {
        format!(
            "{name}() {{ printf '{}' >&{}; }}\n",
            escaped(message),
            open.control
        )
    };
    let mut text = message("hello", &ToHost::Hello(VERSION, 900));
    text += &message("started", &ToHost::Started(1000));
    text += &message("alive", &ToHost::Alive);
    text += &message("fatal", &ToHost::Fatal("no 9p".into()));
    let exited = |code| ToHost::Exited {
        how: Exit::Code(code),
        stdout: SAID,
        stderr: 0,
    };
    text += &message("exited", &exited(0));
    text += &format!(
        "rubbish() {{ printf '\\377\\377\\377\\377' >&{}; }}\n",
        open.control
    );
    text += &format!("say() {{ printf \"$1\" >&{}; }}\n", open.streams[1]);
    text += &format!("log() {{ printf \"$1\" >&{}; }}\n", open.serial);
    text += body;
    let mut command = Command::new("bash");
    command.args(["-c", &text]);
    command
}

#[derive(Default)]
struct Collected(Report, Vec<u8>);

impl Output for Collected {
    fn stdout(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.feed(bytes);
        self.1.extend_from_slice(bytes);
        Ok(())
    }

    fn stderr(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

/// Long enough for a shell on a busy host, short enough for a test.
fn limits() -> Limits {
    Limits {
        boot: Some(Duration::from_secs(20)),
        silence: Some(Duration::from_secs(20)),
        idle: Some(Duration::from_secs(20)),
        overall: Some(Duration::from_secs(30)),
        power_off: Duration::from_secs(20),
    }
}

fn short() -> Option<Duration> {
    Some(Duration::from_millis(300))
}

fn run(body: &str, limits: Limits) -> (Record, Verdict) {
    run_interrupted(body, limits, |_| {})
}

fn run_interrupted(body: &str, limits: Limits, meanwhile: impl FnOnce(&Session)) -> (Record, Verdict) {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let session = Session::start(b"image", &log, |open| script(body, open)).unwrap();
    meanwhile(&session);
    let mut output = Collected::default();
    let start = Instant::now();
    let record = session.run(&Job::default(), limits, &mut output);
    assert!(start.elapsed() < Duration::from_secs(60), "{record:?}");
    assert!(
        record.status.is_some(),
        "QEMU's end was not waited for: {record:?}"
    );
    let log = std::fs::read_to_string(log).unwrap();
    let verdict = outcome::judge(&record, &output.0, &log);
    (record, verdict)
}

fn machinery_says(verdict: &Verdict, word: &str) {
    assert!(
        matches!(verdict, Verdict::Machinery(why) if why.contains(word)),
        "{verdict:?}"
    );
}

fn tests_fail_with(verdict: &Verdict, word: &str) {
    assert!(
        matches!(verdict, Verdict::Failed(_, Some(why)) if why.contains(word)),
        "{verdict:?}"
    );
}

#[test]
fn a_good_guest_passes() {
    let (record, verdict) = run(&format!("{GREETING} alive; say '{RESULT}'; exited"), limits());
    assert_eq!(
        (record.hello, record.started, record.exit),
        (Some(900), Some(1000), Some(Exit::Code(0)))
    );
    assert!(
        matches!(verdict, Verdict::Passed(counts) if counts.passed == 2),
        "{verdict:?}"
    );
}

#[test]
fn a_guest_that_panics_names_the_test() {
    let body = format!(
        "{GREETING} say 'test b ... '; log '[    2.0] Kernel panic - not syncing: Fatal exception\\n'"
    );
    tests_fail_with(
        &run(&body, limits()).1,
        "Fatal exception; the test that ran was b",
    );
}

#[test]
fn a_guest_that_hangs_is_killed() {
    let body = format!("{GREETING} say 'test b ... '; sleep 3600");
    let (record, verdict) = run(
        &body,
        Limits {
            silence: short(),
            ..limits()
        },
    );
    assert_eq!(record.cut, Some(Cut::Silence));
    tests_fail_with(&verdict, "hung");
}

#[test]
fn a_guest_that_lives_while_its_test_hangs_is_killed() {
    let body = format!("{GREETING} say 'test b ... '; while :; do alive; sleep 0.05; done");
    let limits = Limits {
        silence: Some(Duration::from_secs(10)),
        idle: short(),
        ..limits()
    };
    let (record, verdict) = run(&body, limits);
    assert_eq!(record.cut, Some(Cut::Idle));
    tests_fail_with(&verdict, "the test that ran was b");
}

#[test]
fn a_guest_that_talks_for_ever_is_killed() {
    let body = format!("{GREETING} while :; do say 'more\\n'; done");
    let (record, verdict) = run(
        &body,
        Limits {
            overall: Some(Duration::from_secs(1)),
            ..limits()
        },
    );
    assert_eq!(record.cut, Some(Cut::Overall));
    tests_fail_with(&verdict, "too long");
}

#[test]
fn a_guest_that_powers_off_early_is_no_verdict() {
    machinery_says(
        &run(&format!("{GREETING} say 'test b ... '"), limits()).1,
        "QEMU ended before the guest had said",
    );
}

#[test]
fn a_guest_that_says_nothing_is_killed() {
    let (record, verdict) = run(
        "sleep 3600",
        Limits {
            boot: short(),
            ..limits()
        },
    );
    assert_eq!(record.cut, Some(Cut::Boot));
    machinery_says(&verdict, "in time");
}

#[test]
fn a_status_that_is_missing_is_no_verdict() {
    machinery_says(
        &run(&format!("{GREETING} say '{RESULT}'"), limits()).1,
        "QEMU ended",
    );
}

#[test]
fn a_result_line_that_is_missing_is_no_verdict() {
    // As many bytes as in RESULT.
    let body = format!("{GREETING} say '{:109}\\n'; exited", "test b ... ok");
    machinery_says(&run(&body, limits()).1, "result line");
}

#[test]
fn output_that_did_not_arrive_is_no_verdict() {
    machinery_says(
        &run(&format!("{GREETING} say 'test b ... ok\\n'; exited"), limits()).1,
        "arrived",
    );
}

#[test]
fn a_guest_that_gives_up_is_asked_why() {
    machinery_says(&run("hello; fatal; sleep 0.1", limits()).1, "no 9p");
}

#[test]
fn a_guest_that_does_not_power_off_is_killed() {
    let body = format!("{GREETING} say '{RESULT}'; exited; sleep 3600");
    let limits = Limits {
        power_off: Duration::from_millis(300),
        ..limits()
    };
    let (record, verdict) = run(&body, limits);
    assert_eq!(
        (record.exit, record.cut),
        (Some(Exit::Code(0)), Some(Cut::PowerOff))
    );
    machinery_says(&verdict, "power off");
}

#[test]
fn what_a_guest_says_that_makes_no_sense_ends_it() {
    let body = format!("{GREETING} rubbish; sleep 0.1");
    machinery_says(&run(&body, limits()).1, "QEMU ended");
}

#[test]
fn qemus_complaints_are_told() {
    machinery_says(
        &run("echo no such device >&2; exit 1", limits()).1,
        "no such device",
    );
}

#[test]
fn the_second_interrupt_ends_a_guest_that_ignores_the_first() {
    let body = format!("{GREETING} sleep 3600");
    let (record, _) = run_interrupted(&body, limits(), |session| {
        let sender = session.sender();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(500));
            for _ in 0..2 {
                sender.send(Event::Signal(2)).unwrap();
            }
        });
    });
    assert_eq!(record.cut, Some(Cut::Interrupted(2)));
}

#[test]
fn other_programs_do_not_get_the_guests_descriptors() {
    let dir = tempfile::tempdir().unwrap();
    let session = Session::start(b"image", &dir.path().join("log"), |open| {
        let mut other = Command::new("sleep").arg("3600").spawn().unwrap();
        // It may open and close files of its own meanwhile.
        let theirs: Vec<_> = std::fs::read_dir(format!("/proc/{}/fd", other.id()))
            .unwrap()
            .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
            .collect();
        other.kill().unwrap();
        other.wait().unwrap();
        for number in [open.image, open.serial, open.control, open.streams[0]] {
            let ours = std::fs::read_link(format!("/proc/self/fd/{number}")).unwrap();
            assert!(!theirs.contains(&ours));
        }
        script(GREETING, open)
    });
    let record = session
        .unwrap()
        .run(&Job::default(), limits(), &mut Collected::default());
    assert_eq!(record.started, Some(1000), "the guest has them");
}

#[test]
fn children_of_qemu_go_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let pid_file = dir.path().join("pid");
    let body = format!("sleep 3600 & echo $! > {}; {GREETING} wait", pid_file.display());
    run(
        &body,
        Limits {
            silence: short(),
            ..limits()
        },
    );
    let pid = std::fs::read_to_string(pid_file).unwrap();
    let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    assert!(
        state.is_err() || state.unwrap().contains(") Z "),
        "the child lives on"
    );
}
