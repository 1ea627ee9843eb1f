// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the benchmarks of one guest said: read line by line, and looked up. A line that makes no sense is an error, and so is
//! the lack of the last one: nobody is to see a table with holes that nobody knows of.

use std::collections::BTreeSet;

use serde::Serialize;
use shmdev_bench_model::{Figure, Guest, Line, Measure, Skipped, Unit};

use super::lines::Lines;

/// The machine that the figures are of.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Machine {
    /// The host's processor, as it calls itself.
    pub host_cpu: String,
    /// QEMU's version.
    pub qemu: String,
    /// `tcg` or `kvm`.
    pub accel: String,
    /// Whether time is counted in instructions.
    pub icount: bool,
    /// The guest's processors.
    pub cpus: u16,
    /// What kind they are, as QEMU's `-cpu` has it.
    pub cpu: String,
    /// The guest's memory.
    pub memory_mib: u32,
    /// What its kernel is told beside what every guest's is.
    pub append: Vec<String>,
}

impl Machine {
    /// What figures of time have to be given in.
    fn clock(&self) -> Unit {
        match self.icount {
            true => Unit::Instructions,
            false => Unit::Nanoseconds,
        }
    }

    /// What the figures are worth, in a phrase.
    pub fn describe(&self) -> String {
        let processors = match self.cpus {
            1 => "1 CPU".to_owned(),
            several => format!("{several} CPUs"),
        };
        match (self.icount, self.accel.as_str()) {
            (true, _) => format!("guest instructions on {processors} (QEMU's -icount)"),
            (false, "kvm") => format!("clock time on {processors}, by KVM"),
            (false, _) => format!(
                "clock time on {processors}, translated by QEMU: such times compare nothing but QEMU's translation"
            ),
        }
    }
}

/// All figures of one guest, complete.
#[derive(Clone, Debug)]
pub struct Results {
    /// Where they are from.
    pub machine: Machine,
    /// What runs on it.
    pub guest: Guest,
    /// What can be measured.
    pub measures: &'static [Measure],
    /// What was.
    pub figures: Vec<Figure>,
    /// What was not.
    pub skipped: Vec<Skipped>,
}

impl Results {
    /// The figure of `subject`; of a curve, the one at a place on it.
    pub fn figure<'a>(&'a self, measure: &str, subject: &str, at: Option<u64>) -> Option<&'a Figure> {
        self.of(measure)
            .find(|figure| figure.subject == subject && figure.at == at)
    }

    /// All figures of a measure.
    pub fn of<'a>(&'a self, measure: &str) -> impl Iterator<Item = &'a Figure> + Clone {
        self.figures
            .iter()
            .filter(move |figure| figure.measure == measure)
    }

    /// Who was measured, in the order in which they came.
    pub fn subjects<'a>(&'a self, measure: &str) -> Vec<&'a str> {
        let mut subjects: Vec<&str> = Vec::new();
        for figure in self.of(measure) {
            if !subjects.contains(&figure.subject.as_str()) {
                subjects.push(&figure.subject);
            }
        }
        subjects
    }

    /// The places on a curve at which anybody was measured.
    pub fn places(&self, measure: &str) -> BTreeSet<u64> {
        self.of(measure).filter_map(|figure| figure.at).collect()
    }

    /// Who was not measured.
    pub fn skipped<'a>(&'a self, measure: &str) -> impl Iterator<Item = &'a Skipped> {
        self.skipped
            .iter()
            .filter(move |skipped| skipped.measure == measure)
    }

    /// The least of the peers' figures.
    pub fn best_peer<'a>(&'a self, measure: &str, at: Option<u64>) -> Option<&'a Figure> {
        let peers = self
            .of(measure)
            .filter(|figure| figure.at == at && !is_ours(&figure.subject));
        peers.min_by(|a, b| a.least.total_cmp(&b.least))
    }

    /// The measures of which anything is known, in the catalogue's order.
    pub fn measured(&self) -> impl Iterator<Item = &'static Measure> {
        self.measures.iter().filter(|measure| self.knows(measure))
    }

    /// The first of these measures of which nothing is known, not even why.
    pub fn first_unknown(&self, wanted: &[&'static Measure]) -> Option<&'static Measure> {
        wanted.iter().copied().find(|measure| !self.knows(measure))
    }

    fn knows(&self, measure: &Measure) -> bool {
        self.of(measure.id).next().is_some() || self.skipped(measure.id).next().is_some()
    }

    /// Why a subject of ours was not measured, if there is one.
    pub fn ours_skipped(&self) -> Option<&Skipped> {
        self.skipped.iter().find(|skipped| is_ours(&skipped.subject))
    }
}

/// Whether a subject is this project's, not a peer.
pub fn is_ours(subject: &str) -> bool {
    subject
        .strip_prefix("shmdev")
        .is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
}

/// Reads the lines as they come.
#[derive(Debug)]
pub struct Reader {
    machine: Machine,
    measures: &'static [Measure],
    lines: Lines,
    guest: Option<Guest>,
    figures: Vec<Figure>,
    skipped: Vec<Skipped>,
    done: bool,
}

impl Reader {
    /// For the output of benchmarks on `machine`.
    pub fn new(machine: Machine, measures: &'static [Measure]) -> Self {
        Reader {
            machine,
            measures,
            lines: Lines::default(),
            guest: None,
            figures: Vec::new(),
            skipped: Vec::new(),
            done: false,
        }
    }

    /// Takes more output.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), String> {
        for line in self.lines.feed(bytes) {
            self.take(serde_json::from_str(&line).map_err(|error| {
                format!("the benchmarks said {line:?}, which is none of their lines: {error}")
            })?)?;
        }
        Ok(())
    }

    fn take(&mut self, line: Line) -> Result<(), String> {
        if self.done {
            return Err("the benchmarks went on after they had said that they were done".into());
        }
        if self.guest.is_none() && !matches!(line, Line::Guest(_)) {
            return Err("the benchmarks did not say first where they run".into());
        }
        match line {
            Line::Guest(guest) => self.take_guest(guest)?,
            Line::Figure(figure) => {
                self.check(&figure)?;
                self.figures.push(figure);
            }
            Line::Skipped(skipped) => {
                self.measure(&skipped.measure)?;
                self.skipped.push(skipped);
            }
            Line::Done => self.done = true,
        }
        Ok(())
    }

    fn take_guest(&mut self, guest: Guest) -> Result<(), String> {
        let Machine { cpus, .. } = self.machine;
        if guest.processors != u32::from(cpus) || guest.clock != self.machine.clock() {
            return Err(format!(
                "the benchmarks found {} CPUs and count {}, but the machine was made for {cpus} and {}",
                guest.processors,
                super::number::unit_in_full(guest.clock),
                super::number::unit_in_full(self.machine.clock()),
            ));
        }
        self.guest = Some(guest);
        Ok(())
    }

    fn measure(&self, id: &str) -> Result<&'static Measure, String> {
        let mut measures = self.measures.iter();
        measures
            .find(|measure| measure.id == id)
            .ok_or_else(|| format!("the benchmarks measured {id:?}, which is not in the catalogue"))
    }

    fn check(&self, figure: &Figure) -> Result<(), String> {
        let Figure {
            measure,
            subject,
            at,
            least,
            median,
            most,
            ..
        } = figure;
        let wrong = |what: &str| Err(format!("the figure of {subject:?} for {measure:?} {what}"));
        if self.measure(measure)?.axis.is_some() != at.is_some() {
            return wrong("has no place on its curve, or one where there is no curve");
        }
        let ordered = 0.0 <= *least && least <= median && median <= most && most.is_finite();
        if !ordered {
            return wrong("makes no sense: its least, median and most are not in that order");
        }
        if figure.unit != Unit::Bytes && figure.unit != self.machine.clock() {
            return wrong("is not counted by this machine's clock");
        }
        let same = |other: &&Figure| {
            (&other.measure, &other.subject, other.at) == (measure, subject, *at) || {
                other.measure == *measure && other.unit != figure.unit
            }
        };
        match self.figures.iter().find(same) {
            Some(_) => wrong("was given twice, or in another unit than the others"),
            None => Ok(()),
        }
    }

    /// All of it, if it is all.
    pub fn finish(self) -> Result<Results, String> {
        match self.guest {
            Some(guest) if self.done && self.lines.rest().is_none() => Ok(Results {
                machine: self.machine,
                guest,
                measures: self.measures,
                figures: self.figures,
                skipped: self.skipped,
            }),
            _ => Err("the benchmarks ended without having said that they were done".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::sample;

    fn read(lines: &[&str]) -> Result<Results, String> {
        let mut reader = Reader::new(sample::machine(), sample::MEASURES);
        for line in lines {
            reader.feed(line.as_bytes())?;
            reader.feed(b"\n")?;
        }
        reader.finish()
    }

    const GUEST: &str = r#"{"line":"guest","release":"7.3","rustc":"rustc 1.85.0","glibc":"2.41","processors":1,"clock":"instructions"}"#;
    const FIGURE: &str = r#"{"line":"figure","measure":"attach","subject":"memfd","at":null,"unit":"instructions","least":2.0,"median":3.0,"most":4.0,"batches":5,"operations":6}"#;
    const DONE: &str = r#"{"line":"done"}"#;

    #[test]
    fn figures_are_found_by_what_they_are_of() {
        let results = read(&[GUEST, FIGURE, DONE]).unwrap();
        assert_eq!(results.figure("attach", "memfd", None).unwrap().least, 2.0);
        assert!(results.figure("attach", "pipe", None).is_none());
        assert!(results.figure("attach", "memfd", Some(1)).is_none());
    }

    #[test]
    fn what_makes_no_sense_is_an_error() {
        assert!(read(&[GUEST, FIGURE, DONE]).is_ok());
        for (lines, word) in [
            (vec![GUEST, FIGURE], "without having said"),
            (vec![], "without having said"),
            (vec![FIGURE, DONE], "first where"),
            (vec![GUEST, "thread panicked", DONE], "none of their lines"),
            (vec![GUEST, r#"{"line":"other"}"#, DONE], "none of their lines"),
            (vec![GUEST, DONE, FIGURE], "went on"),
            (vec![GUEST, FIGURE, FIGURE, DONE], "twice"),
            (vec![GUEST, &FIGURE.replace("attach", "x"), DONE], "catalogue"),
            (vec![GUEST, &FIGURE.replace("null", "4096"), DONE], "place"),
            (vec![GUEST, &FIGURE.replace("2.0", "9.0"), DONE], "order"),
            (
                vec![GUEST, &FIGURE.replace("instructions", "nanoseconds"), DONE],
                "clock",
            ),
            (
                vec![
                    GUEST,
                    FIGURE,
                    &FIGURE.replace("memfd", "x").replace("\"instructions", "\"bytes"),
                    DONE,
                ],
                "another unit",
            ),
            (vec![&GUEST.replace(":1,", ":2,"), DONE], "2 CPUs"),
            (
                vec![&GUEST.replace("instructions", "nanoseconds"), DONE],
                "made for",
            ),
        ] {
            let error = read(&lines).unwrap_err();
            assert!(error.contains(word), "{word}: {error}");
        }
        let mut cut = Reader::new(sample::machine(), sample::MEASURES);
        cut.feed(format!("{GUEST}\n{DONE}\n{{").as_bytes()).unwrap();
        assert!(cut.finish().is_err());
    }

    #[test]
    fn a_measure_of_which_nothing_was_said_is_noticed() {
        let all: Vec<&Measure> = sample::MEASURES.iter().collect();
        let mut results = sample::results();
        assert!(results.first_unknown(&all).is_none());
        results.figures.retain(|figure| figure.measure != "alone");
        assert_eq!(results.first_unknown(&all).unwrap().id, "alone");
        // That there is a reason is enough.
        results.figures.clear();
        assert_eq!(results.first_unknown(&all[..1]).map(|measure| measure.id), None);
    }

    #[test]
    fn ours_are_those_whose_first_word_says_so() {
        assert!(is_ours("shmdev pfn") && is_ours("shmdev") && is_ours("shmdev, memcpy"));
        assert!(!is_ours("memfd") && !is_ours("shmdevice") && !is_ours("not shmdev"));
    }

    #[test]
    fn the_best_peer_is_none_of_ours() {
        let results = sample::results();
        assert_eq!(results.best_peer("attach", None).unwrap().subject, "memfd");
        assert_eq!(
            results.best_peer("map_size", Some(4096)).unwrap().subject,
            "memfd populate"
        );
        assert!(results.best_peer("alone", None).is_none());
    }
}
