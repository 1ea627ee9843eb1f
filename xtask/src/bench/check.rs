// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether anything got worse than what `tests/bench/goals.toml` has of it. Pure.
//!
//! | a goal's value | |
//! |---|---|
//! | is worse than what was measured by more than the drift, whether or not it meets the goal | fails |
//! | misses the goal, which what was measured met, by less than that | said |
//! | is better by more than the drift | said: the file should be updated |
//! | was never measured before, and misses the goal | fails |
//! | is unknown: skipped, not measured, a peer is missing | fails |

use super::goals::{Aim, Goal};

/// What became of a goal.
#[derive(Clone, Debug, PartialEq)]
pub enum Finding {
    /// Nothing much.
    Same,
    /// It misses its goal, and did not, by less than the file allows it to get worse.
    Missed(f64),
    /// It costs less than the file says.
    Better(f64),
    /// It costs more than this, which the file allows.
    Worse {
        /// What it came to.
        value: f64,
        /// How far it might have gone.
        limit: f64,
    },
    /// Nobody knows.
    Unknown(String),
}

impl Finding {
    /// Whether this fails the check.
    pub fn fails(&self) -> bool {
        matches!(self, Finding::Worse { .. } | Finding::Unknown(_))
    }

    /// What to say of it, if there is anything to say.
    pub fn describe(&self, goal: &Goal) -> Option<String> {
        let before = goal.measured.map_or("never".to_owned(), |value| goal.show(value));
        let what = &goal.what;
        Some(match self {
            Finding::Same => return None,
            Finding::Missed(value) => format!(
                "missed: {what}: {}, was {before} (goal {}), which is within its drift",
                goal.show(*value),
                goal.goal()
            ),
            Finding::Better(value) => format!(
                "better: {what}: {}, was {before}; `cargo xtask bench --bless` writes that down",
                goal.show(*value)
            ),
            Finding::Worse { value, limit } => format!(
                "worse: {what}: {}, was {before} (goal {}, limit {})",
                goal.show(*value),
                goal.goal(),
                goal.show(*limit)
            ),
            Finding::Unknown(why) => format!("unknown: {what}: {why}"),
        })
    }
}

/// Compares a value with its goal and with what was measured before.
pub fn judge(goal: &Goal, value: &Result<f64, String>) -> Finding {
    let value = match value {
        Ok(value) => *value,
        Err(why) => return Finding::Unknown(why.clone()),
    };
    // How bad a value is (of an aim with two sides, how far off), how bad it may be, and what the drift is a part of.
    let (badness, allowed, whole): (fn(f64, f64) -> f64, f64, f64) = match goal.aim {
        Aim::AtMost(limit) => (|value, _| value, limit, goal.measured.unwrap_or(limit)),
        Aim::Within { target, tolerance } => (|value, target| (value - target).abs(), tolerance, target),
    };
    let (now, slack) = (badness(value, whole), whole * goal.drift);
    let before = goal.measured.map(|measured| badness(measured, whole));
    let limit = before.map_or(allowed, |before| before + slack);
    if now > limit {
        let limit = match goal.aim {
            Aim::AtMost(_) => limit,
            Aim::Within { target, .. } => target + limit.copysign(value - target),
        };
        return Finding::Worse { value, limit };
    }
    match before {
        Some(_) if now > allowed && goal.measured.is_some_and(|before| goal.aim.is_met(before)) => {
            Finding::Missed(value)
        }
        Some(before) if now >= before - slack => Finding::Same,
        _ => Finding::Better(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::goals::Goals;

    fn goal(aim: &str, measured: &str) -> Goal {
        let text = format!(
            "drift = 0.1\n[[goal]]\nwhat = \"lock\"\nagainst = \"pthread\"\nmeasure = \"m\"\nours = \"shmdev\"\n\
             peers = [\"p\"]\n{aim}\n{measured}\n"
        );
        Goals::parse(&text).unwrap().0.remove(0)
    }

    fn finding(aim: &str, measured: &str, value: f64) -> Finding {
        judge(&goal(aim, measured), &Ok(value))
    }

    const AIM: &str = "at_most = 1.0";

    #[test]
    fn a_goal_that_is_met_fails_when_it_got_worse_all_the_same() {
        assert_eq!(finding(AIM, "measured = 0.5", 0.54), Finding::Same);
        assert_eq!(
            finding(AIM, "measured = 0.5", 0.56),
            Finding::Worse {
                value: 0.56,
                limit: 0.55
            }
        );
        // A row's own drift goes before that of the file.
        let own = "measured = 0.5\ndrift = 0.2";
        assert_eq!(finding(AIM, own, 0.56), Finding::Same);
        assert!(finding(AIM, own, 0.61).fails());
    }

    #[test]
    fn a_goal_that_was_met_fails_when_it_is_missed_by_more_than_the_drift() {
        let found = finding(AIM, "measured = 0.95", 1.04);
        assert_eq!(found, Finding::Missed(1.04));
        assert!(!found.fails());
        assert!(finding(AIM, "measured = 0.95", 1.05).fails());
    }

    #[test]
    fn a_goal_that_was_missed_fails_when_it_is_missed_by_more() {
        assert_eq!(finding(AIM, "measured = 2.0", 2.19), Finding::Same);
        assert_eq!(
            finding(AIM, "measured = 2.0", 2.25),
            Finding::Worse {
                value: 2.25,
                limit: 2.2
            }
        );
    }

    #[test]
    fn what_got_better_is_said_and_does_not_fail() {
        for (measured, value) in [("measured = 2.0", 1.7), ("measured = 0.5", 0.4), ("", 0.9)] {
            let found = finding(AIM, measured, value);
            assert_eq!(found, Finding::Better(value));
            assert!(!found.fails());
            assert!(found.describe(&goal(AIM, measured)).unwrap().contains("--bless"));
        }
    }

    #[test]
    fn what_was_never_measured_is_held_to_its_goal() {
        assert!(finding(AIM, "", 1.1).fails());
    }

    #[test]
    fn what_is_unknown_fails() {
        let found = judge(&goal(AIM, "measured = 0.5"), &Err("skipped".into()));
        assert_eq!(found, Finding::Unknown("skipped".into()));
        assert!(found.fails());
    }

    #[test]
    fn a_target_fails_on_both_sides() {
        let aim = "equal_to = 1.0\nwithin = 0.05";
        let found = |value| finding(aim, "measured = 1.0", value);
        assert_eq!(found(1.04), Finding::Same);
        assert_eq!(found(0.96), Finding::Same);
        for value in [1.2, 0.8] {
            let limit = if value > 1.0 { 1.1 } else { 0.9 };
            assert_eq!(found(value), Finding::Worse { value, limit });
        }
    }

    #[test]
    fn what_got_worse_is_told_with_both_numbers() {
        let worse = finding(AIM, "measured = 0.5", 1.2);
        let text = worse.describe(&goal(AIM, "measured = 0.5")).unwrap();
        assert_eq!(text, "worse: lock: 1.200, was 0.5000 (goal ≤ 1, limit 0.5500)");
        assert_eq!(Finding::Same.describe(&goal(AIM, "")), None);
    }
}
