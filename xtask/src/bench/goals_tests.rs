// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tests of the goals.

use shmdev_bench_model::MEASURES;

use super::*;
use crate::bench::sample;

const GOAL: &str = r#"
drift = 0.02

# Attaching.
[[goal]]
what = "attach 4 MiB"
against = "memfd"
measure = "attach"
ours = "shmdev pfn"
peers = ["memfd", "memfd populate"]
at_most = 0.25
measured = 0.3 # by hand
drift = 0.01
"#;

fn goal(changes: &[(&str, &str)]) -> Result<Goals> {
    let text = changes
        .iter()
        .fold(GOAL.to_owned(), |text, (from, to)| text.replace(from, to));
    Goals::parse(&text)
}

fn value(changes: &[(&str, &str)]) -> Result<f64, String> {
    goal(changes).unwrap().0[0].value(&sample::results())
}

#[test]
fn a_ratio_is_to_the_best_peer() {
    let ratio = value(&[]).unwrap();
    assert!((ratio - 231_456.0 / 904_123.5).abs() < 1e-9, "{ratio}");
}

#[test]
fn a_curve_is_compared_at_a_place_on_it_or_with_itself() {
    let changes = [
        ("\"attach\"", "\"map_size\""),
        ("at_most", "at = 268435456\nat_most"),
        ("[\"memfd\", \"memfd populate\"]", "[\"memfd populate\"]"),
        ("shmdev pfn", "shmdev huge"),
    ];
    assert!(value(&changes).unwrap() < 0.001);
    let changes = [
        ("\"attach\"", "\"map_size\""),
        ("at_most", "at = 1048576\npeers_at = 4096\nat_most"),
        ("[\"memfd\", \"memfd populate\"]", "[\"shmdev pfn\"]"),
    ];
    let ratio = value(&changes).unwrap();
    assert!((ratio - (2500.0 + 9.0 * 256.0) / 2509.0).abs() < 1e-6, "{ratio}");
}

#[test]
fn without_a_peer_the_figure_stands_for_itself() {
    let changes = [
        ("\"attach\"", "\"alone\""),
        ("shmdev pfn", "shmdev"),
        ("peers = [\"memfd\", \"memfd populate\"]", "unit = \"bytes\""),
        ("0.25", "1024"),
    ];
    assert_eq!(value(&changes), Ok(824.0));
    let goals = goal(&changes).unwrap();
    assert_eq!(goals.0[0].goal(), "≤ 1,024 bytes");
    assert_eq!(goals.0[0].show(824.0), "824 bytes");
}

#[test]
fn what_was_not_measured_says_why() {
    let huge = value(&[("shmdev pfn", "shmdev huge")]).unwrap_err();
    assert_eq!(huge, "shmdev huge was skipped: the device has no such mode");
    let peer = value(&[("memfd populate", "sysv")]).unwrap_err();
    assert_eq!(peer, "sysv was not measured for attach");
    let unit = [("peers = [\"memfd\", \"memfd populate\"]", "unit = \"bytes\"")];
    assert!(value(&unit).unwrap_err().contains("unit"));
}

#[test]
fn a_row_that_contradicts_itself_is_refused() {
    for (from, to) in [
        ("at_most = 0.25", ""),
        ("at_most = 0.25", "at_most = 0.25\nwithin = 0.1"),
        ("at_most = 0.25", "equal_to = 1.0"),
        ("at_most = 0.25", "at_most = 0"),
        ("peers = [\"memfd\", \"memfd populate\"]", ""),
        ("at_most", "unit = \"bytes\"\nat_most"),
        ("drift = 0.01", "drift = 1"),
        ("drift = 0.02", ""),
        ("measured = 0.3", "measured = nan"),
        ("against", "agianst"),
    ] {
        assert!(goal(&[(from, to)]).is_err(), "{to}");
    }
    assert!(goal(&[("at_most = 0.25", "equal_to = 1.0\nwithin = 0.01")]).is_ok());
}

#[test]
fn a_row_has_the_drift_of_the_file_or_its_own() {
    assert_eq!(goal(&[]).unwrap().0[0].drift, 0.01);
    assert_eq!(goal(&[("drift = 0.01", "")]).unwrap().0[0].drift, 0.02);
}

#[test]
fn an_aim_is_a_limit_or_a_target() {
    assert!(Aim::AtMost(0.25).is_met(0.25) && !Aim::AtMost(0.25).is_met(0.251));
    let aim = Aim::Within {
        target: 1.0,
        tolerance: 0.01,
    };
    assert!(aim.is_met(0.995) && aim.is_met(1.005) && !aim.is_met(0.98) && !aim.is_met(1.02));
}

#[test]
fn blessing_changes_what_was_measured_and_nothing_else() {
    let text = Goals::bless(GOAL, &[Ok(0.256_04)]).unwrap();
    assert_eq!(text, GOAL.replace("0.3 #", "0.256 #"));
    let unmeasured = GOAL.replace("measured = 0.3 # by hand\n", "");
    let text = Goals::bless(&unmeasured, &[Ok(824.0)]).unwrap();
    assert_eq!(text, format!("{unmeasured}measured = 824.0\n"));
    assert_eq!(Goals::bless(GOAL, &[Err("x".into())]).unwrap(), GOAL);
    assert!(Goals::bless(GOAL, &[]).is_err());
}

#[test]
fn the_table_of_a_page_is_replaced_and_the_rest_stays() {
    let (before, after) = (goal(&[]).unwrap(), goal(&[("0.3 #", "0.2 #")]).unwrap());
    let page = |goals: &Goals| format!("# Page\n\n{}\nmore | text\n", goals.markdown());
    assert_eq!(after.documented(&page(&before)), Some(page(&after)));
    assert_eq!(after.documented("# Page\n"), None);
}

#[test]
fn a_filter_leaves_out_the_goals_of_other_measures() {
    assert_eq!(goal(&[]).unwrap().filtered(Some("tta")).0.len(), 1);
    assert_eq!(goal(&[]).unwrap().filtered(Some("wake")).0.len(), 0);
    assert_eq!(goal(&[]).unwrap().filtered(None).0.len(), 1);
}

#[test]
fn the_goals_are_about_what_is_measured() {
    let goals = Goals::parse(include_str!("../../../tests/bench/goals.toml")).unwrap();
    for goal in &goals.0 {
        let Goal { measure, scale, .. } = goal;
        let found = MEASURES.iter().find(|known| known.id == measure);
        let axis = found
            .unwrap_or_else(|| panic!("{measure} is not in the catalogue"))
            .axis;
        let at = [
            Some(goal.ours.1),
            match scale {
                Scale::Peers(_, at) => Some(*at),
                Scale::Unit(_) => None,
            },
        ];
        for at in at.into_iter().flatten() {
            assert_eq!(at.is_some(), axis.is_some(), "{}", goal.what);
        }
        let missed = goal.measured.filter(|value| !goal.aim.is_met(*value));
        assert_eq!(
            missed.is_some(),
            goal.note.is_some(),
            "{}: why it is missed",
            goal.what
        );
    }
}

#[test]
fn the_documentation_shows_the_goals_as_they_are() {
    let goals = Goals::parse(include_str!("../../../tests/bench/goals.toml")).unwrap();
    let page = include_str!("../../../docs/performance.md");
    assert_eq!(
        goals.documented(page).as_deref(),
        Some(page),
        "`cargo xtask bench --bless` brings it up to date; or put this there:\n{}",
        goals.markdown()
    );
}
