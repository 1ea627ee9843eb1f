// SPDX-License-Identifier: MIT OR Apache-2.0
//! A small catalogue and figures for it, for tests of what is made of figures.

use shmdev_bench_model::{Axis, AxisUnit, Measure};

use super::{
    Outcome,
    goals::Goals,
    results::{Machine, Reader, Results},
};

/// What the sample's figures are of.
pub const MEASURES: &[Measure] = &[
    Measure {
        id: "attach",
        title: "attach 4 MiB & touch it",
        about: "Map what is there, touch <every> page, unmap.",
        axis: None,
    },
    Measure {
        id: "map_size",
        title: "map and unmap",
        about: "By size.",
        axis: Some(Axis {
            title: "segment size",
            unit: AxisUnit::Bytes,
        }),
    },
    Measure {
        id: "alone",
        title: "memory of a segment",
        about: "Beyond its pages.",
        axis: None,
    },
];

/// What the guest said.
const LINES: &str = include_str!("sample.jsonl");

/// The machine of the sample.
pub fn machine() -> Machine {
    Machine {
        host_cpu: "A Processor".into(),
        qemu: "10.0.0".into(),
        accel: "tcg".into(),
        icount: true,
        cpus: 1,
        cpu: "max".into(),
        memory_mib: 2048,
        append: vec!["norandmaps".into()],
    }
}

/// The figures.
pub fn results() -> Results {
    let mut reader = Reader::new(machine(), MEASURES);
    reader.feed(LINES.as_bytes()).unwrap();
    reader.finish().unwrap()
}

/// All of it, with a goal.
pub fn outcome() -> Outcome {
    let goals = Goals::parse(
        "drift = 0.01\n[[goal]]\nwhat = \"attach 4 MiB\"\nagainst = \"memfd\"\nmeasure = \"attach\"\nours = \"shmdev pfn\"\n\
         peers = [\"memfd\"]\nat_most = 0.3\n",
    );
    let (goals, results) = (goals.unwrap(), results());
    Outcome {
        commit: "0123abc-dirty".into(),
        values: goals.values(&results),
        goals,
        runs: vec![results],
    }
}
