// SPDX-License-Identifier: GPL-2.0

//! Range locks against a list in order of arrival that is searched anew for each question.

use crate::{
    prelude::fail_allocation_after,
    sync::ranges::{
        Access, Counts, Granted, Outcome, Range, RangeTable, Refusal, Request, RequestId, Waker,
    },
};
use proptest::prelude::*;
use std::{cell::Cell, collections::BTreeSet, rc::Rc};

/// Counts how often it was woken.
#[derive(Clone, Default)]
struct Bell(Rc<Cell<usize>>);

impl Waker for Bell {
    fn wake(&self) {
        self.0.set(self.0.get() + 1);
    }
}

type Table = RangeTable<u8, Bell>;

const LIMIT: u32 = 5;
const SPACE: u64 = 24;

#[derive(Clone)]
struct Modelled {
    id: RequestId,
    request: Request<u8>,
    bell: Bell,
    waits: bool,
}

/// What the table should be.
#[derive(Default)]
struct Model {
    /// In order of arrival.
    requests: Vec<Modelled>,
    marked: BTreeSet<u64>,
}

fn conflict(a: &Request<u8>, b: &Request<u8>) -> bool {
    a.owner != b.owner
        && (a.access == Access::Write || b.access == Access::Write)
        && a.range.overlaps(b.range)
}

impl Model {
    fn granted(&self, index: usize) -> bool {
        let request = &self.requests[index].request;
        !self.requests[..index]
            .iter()
            .any(|earlier| conflict(&earlier.request, request))
    }

    fn refusal(&self, request: &Request<u8>) -> Option<Refusal> {
        let own = || {
            self.requests
                .iter()
                .filter(|other| other.request.owner == request.owner)
        };
        if own().any(|other| other.request.range.overlaps(request.range)) {
            Some(Refusal::OwnRange)
        } else {
            (own().count() as u32 >= LIMIT).then_some(Refusal::TooMany)
        }
    }

    fn would_wait(&self, request: &Request<u8>) -> bool {
        self.requests
            .iter()
            .any(|other| conflict(&other.request, request))
    }

    fn owner_died(&self, range: Range) -> bool {
        self.marked.range(range.start..range.end).next().is_some()
    }

    fn mark(&mut self, index: usize) {
        let Request { range, access, .. } = self.requests[index].request;
        if access == Access::Write && self.granted(index) {
            self.marked.extend(range.start..range.end);
        }
    }

    fn counts(&self) -> Counts {
        let held = (0..self.requests.len())
            .filter(|index| self.granted(*index))
            .count() as u32;
        Counts {
            held,
            waiting: self.requests.len() as u32 - held,
        }
    }

    /// Nobody conflicts with anybody who holds, and exactly those who waited and now hold were woken.
    fn check(&self, table: &Table) {
        assert_eq!(table.counts(|_| true), self.counts());
        for (index, entry) in self.requests.iter().enumerate() {
            if entry.waits {
                assert_eq!(
                    entry.bell.0.get(),
                    usize::from(self.granted(index)),
                    "woken once, when granted"
                );
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Begin {
        owner: u32,
        process: u8,
        range: Range,
        access: Access,
        wait: bool,
    },
    End(prop::sample::Index),
    EndOther {
        owner: u32,
        range: Range,
        access: Access,
    },
    Settle(prop::sample::Index),
    Withdraw(prop::sample::Index),
    OwnerGone(u32),
    ProcessGone {
        owner: u32,
        process: u8,
    },
}

fn range() -> impl Strategy<Value = Range> {
    (0..SPACE, 1..=6_u64).prop_map(|(start, len)| Range {
        start,
        end: start + len,
    })
}

fn access() -> impl Strategy<Value = Access> {
    prop_oneof![Just(Access::Read), Just(Access::Write)]
}

fn step() -> impl Strategy<Value = Step> {
    let owner = || 1..5_u32;
    let process = || 0..2_u8;
    prop_oneof![
        8 => (owner(), process(), range(), access(), prop::bool::weighted(0.8)).prop_map(
            |(owner, process, range, access, wait)| Step::Begin { owner, process, range, access, wait }
        ),
        4 => any::<prop::sample::Index>().prop_map(Step::End),
        1 => (owner(), range(), access()).prop_map(|(owner, range, access)| Step::EndOther { owner, range, access }),
        3 => any::<prop::sample::Index>().prop_map(Step::Settle),
        1 => any::<prop::sample::Index>().prop_map(Step::Withdraw),
        1 => owner().prop_map(Step::OwnerGone),
        1 => (owner(), process()).prop_map(|(owner, process)| Step::ProcessGone { owner, process }),
    ]
}

fn begin(table: &mut Table, model: &mut Model, request: Request<u8>, wait: bool) {
    let bell = Bell::default();
    let outcome = table.begin(request, wait.then(|| bell.clone()), LIMIT, 0);
    let expected_wait = model.would_wait(&request);
    if let Some(refusal) = model.refusal(&request) {
        assert_eq!(outcome, Outcome::Refused(refusal));
        return;
    }
    let (id, waits) = match outcome {
        Outcome::Granted(granted) => {
            let Granted {
                id,
                owner_died,
                waited,
            } = granted;
            assert_eq!(owner_died, model.owner_died(request.range));
            assert!(!waited);
            (id, false)
        }
        Outcome::Waits(id) => (id, true),
        Outcome::WouldWait => {
            assert!(expected_wait && !wait);
            return;
        }
        Outcome::Refused(refusal) => panic!("{refusal:?}"),
    };
    assert_eq!(waits, expected_wait);
    model.requests.push(Modelled {
        id,
        request,
        bell,
        waits,
    });
}

fn end(table: &mut Table, model: &mut Model, owner: u32, range: Range, access: Access) {
    let held = (0..model.requests.len()).find(|&index| {
        let request = &model.requests[index].request;
        request.owner == owner
            && request.range == range
            && request.access == access
            && model.granted(index)
            && !model.requests[index].waits
    });
    assert_eq!(table.end(owner, range, access), held.is_some());
    if let Some(index) = held {
        model.requests.remove(index);
        if access == Access::Write {
            model
                .marked
                .retain(|byte| !(range.start..range.end).contains(byte));
        }
    }
}

fn settle(table: &mut Table, model: &mut Model, index: usize) {
    let entry = model.requests[index].clone();
    let settled = table.settle(entry.id, 0);
    if model.granted(index) {
        let owner_died = model.owner_died(entry.request.range);
        assert_eq!(
            settled,
            Some(Granted {
                id: entry.id,
                owner_died,
                waited: true,
            })
        );
        model.requests[index].waits = false;
    } else {
        assert_eq!(settled, None);
        model.requests.remove(index);
    }
}

fn gone(table: &mut Table, model: &mut Model, which: impl Fn(&Request<u8>) -> bool) {
    table.drop_requests(&which);
    for index in 0..model.requests.len() {
        if which(&model.requests[index].request) {
            model.mark(index);
        }
    }
    model.requests.retain(|entry| {
        let gone = which(&entry.request);
        if gone && entry.waits {
            assert_eq!(
                entry.bell.0.get(),
                1,
                "a waiter whose request is dropped is woken"
            );
        }
        !gone
    });
}

fn run(steps: Vec<Step>) {
    let mut table = Table::new();
    let mut model = Model::default();
    for step in steps {
        let some = |index: prop::sample::Index| {
            (!model.requests.is_empty()).then(|| index.index(model.requests.len()))
        };
        match step {
            Step::Begin {
                owner,
                process,
                range,
                access,
                wait,
            } => {
                begin(
                    &mut table,
                    &mut model,
                    Request {
                        owner,
                        process,
                        range,
                        access,
                    },
                    wait,
                );
            }
            Step::End(index) => {
                if let Some(index) = some(index) {
                    let Request {
                        owner,
                        range,
                        access,
                        ..
                    } = model.requests[index].request;
                    end(&mut table, &mut model, owner, range, access);
                }
            }
            Step::EndOther {
                owner,
                range,
                access,
            } => end(&mut table, &mut model, owner, range, access),
            Step::Settle(index) => {
                if let Some(index) = some(index) {
                    settle(&mut table, &mut model, index);
                }
            }
            Step::Withdraw(index) => {
                if let Some(index) = some(index) {
                    table.withdraw(model.requests.remove(index).id);
                }
            }
            Step::OwnerGone(owner) => {
                gone(&mut table, &mut model, |request| request.owner == owner);
            }
            Step::ProcessGone { owner, process } => {
                gone(&mut table, &mut model, |request| {
                    request.owner == owner && request.process == process
                });
            }
        }
        model.check(&table);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_table_is_as_the_model(steps in proptest::collection::vec(step(), 0..80)) {
        run(steps);
    }
}

fn request(owner: u32, start: u64, end: u64, access: Access) -> Request<u8> {
    Request {
        owner,
        process: 0,
        range: Range { start, end },
        access,
    }
}

#[test]
fn a_request_without_memory_changes_nothing() {
    let mut table = Table::new();
    // The first allocation is for the marks, the second for the entry.
    for allocations in 0..2 {
        fail_allocation_after(Some(allocations));
        let outcome = table.begin(request(1, 0, 10, Access::Write), None, LIMIT, 0);
        assert_eq!(outcome, Outcome::Refused(Refusal::NoMemory));
        assert_eq!(table.counts(|_| true), Counts::default());
    }
    assert!(matches!(
        table.begin(request(1, 0, 10, Access::Write), None, LIMIT, 0),
        Outcome::Granted(_)
    ));
}

#[test]
fn the_mark_of_a_dead_writer_is_seen_by_the_next_and_ends_with_a_completed_write() {
    let mut table = Table::new();
    let died = |outcome| match outcome {
        Outcome::Granted(granted) => granted.owner_died,
        other => panic!("{other:?}"),
    };
    assert!(!died(table.begin(
        request(1, 10, 20, Access::Write),
        None,
        LIMIT,
        0,
    )));
    table.drop_requests(|request| request.owner == 1);
    assert!(died(table.begin(
        request(2, 19, 30, Access::Read),
        None,
        LIMIT,
        0,
    )));
    assert!(table.end(2, Range { start: 19, end: 30 }, Access::Read));
    assert!(died(table.begin(
        request(2, 15, 16, Access::Write),
        None,
        LIMIT,
        0,
    )));
    assert!(table.end(2, Range { start: 15, end: 16 }, Access::Write));
    assert!(!died(table.begin(
        request(2, 15, 16, Access::Read),
        None,
        LIMIT,
        0,
    )));
    assert!(died(table.begin(
        request(3, 16, 17, Access::Read),
        None,
        LIMIT,
        0,
    )));
}
