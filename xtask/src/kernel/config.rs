// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernel configurations: compared with the packaged one, and with what was requested. Pure.

use std::collections::BTreeMap;

/// Options that differ between Debian's build and one made here without changing what is compiled: who signs, which
/// compiler text. Anything else that differs means another kernel.
const HARMLESS: [&str; 5] = [
    "BUILD_SALT",
    "CC_VERSION_TEXT",
    "MODULE_SIG_ALL",
    "MODULE_SIG_KEY",
    "SYSTEM_TRUSTED_KEYS",
];

/// A configuration's options that are not off, by name without `CONFIG_`.
pub fn options(text: &str) -> BTreeMap<&str, &str> {
    text.lines()
        .filter_map(|line| line.strip_prefix("CONFIG_")?.split_once('='))
        .collect()
}

/// One option's value, without quotes.
pub fn value<'a>(text: &'a str, option: &str) -> Option<&'a str> {
    options(text).get(option).map(|value| value.trim_matches('"'))
}

/// The options in which `made` is not the kernel that `packaged` is, a line each.
pub fn differences(packaged: &str, made: &str) -> Vec<String> {
    let (packaged, made) = (options(packaged), options(made));
    let harmless = |name: &str| HARMLESS.contains(&name) || name.starts_with("OPENSSL_");
    let mut names: Vec<_> = packaged.keys().chain(made.keys()).copied().collect();
    names.sort_unstable();
    names.dedup();
    let show = |value: Option<&&str>| value.map_or("off", |value| *value).to_owned();
    names
        .into_iter()
        .filter(|name| !harmless(name) && packaged.get(name) != made.get(name))
        .map(|name| {
            format!(
                "CONFIG_{name}: packaged {}, here {}",
                show(packaged.get(name)),
                show(made.get(name))
            )
        })
        .collect()
}

/// The requests of a fragment that `made` does not fulfil, a line each.
pub fn unfulfilled(fragment: &str, made: &str) -> Vec<String> {
    let made = options(made);
    let lost = |line: &str| {
        if let Some(name) = line
            .strip_prefix("# CONFIG_")
            .and_then(|rest| rest.strip_suffix(" is not set"))
        {
            return made
                .get(name)
                .map(|value| format!("CONFIG_{name} is {value}, requested off"));
        }
        let (name, wanted) = line.strip_prefix("CONFIG_")?.split_once('=')?;
        match made.get(name) {
            Some(&value) if value == wanted => None,
            Some(value) => Some(format!("CONFIG_{name} is {value}, requested {wanted}")),
            None => Some(format!("CONFIG_{name} is off, requested {wanted}")),
        }
    };
    fragment.lines().filter_map(|line| lost(line.trim())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_signs_makes_no_difference() {
        let packaged = "CONFIG_A=y\nCONFIG_BUILD_SALT=\"x\"\nCONFIG_OPENSSL_SUPPORTS_ML_DSA=y\n";
        assert_eq!(
            differences(packaged, "CONFIG_A=y\n# CONFIG_B is not set\n"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn an_option_that_a_missing_tool_switched_off_is_named() {
        let told = differences(
            "CONFIG_A=y\nCONFIG_DEBUG_INFO_BTF=y\n",
            "CONFIG_A=y\nCONFIG_C=m\n",
        );
        let expected = [
            "CONFIG_C: packaged off, here m",
            "CONFIG_DEBUG_INFO_BTF: packaged y, here off",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn requests_are_checked_both_ways() {
        let fragment = "# why\nCONFIG_KASAN=y\nCONFIG_N=3\n# CONFIG_SLUB_TINY is not set\nCONFIG_OK=y\n";
        let told = unfulfilled(fragment, "CONFIG_SLUB_TINY=y\nCONFIG_N=4\nCONFIG_OK=y\n");
        let expected = [
            "CONFIG_KASAN is off, requested y",
            "CONFIG_N is 4, requested 3",
            "CONFIG_SLUB_TINY is y, requested off",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn quotes_are_not_part_of_a_value() {
        assert_eq!(value("CONFIG_X=\"rustc 1\"\n", "X"), Some("rustc 1"));
        assert_eq!(value("# CONFIG_X is not set\n", "X"), None);
    }

    #[test]
    fn every_line_of_the_projects_fragment_is_a_request_or_a_comment() {
        for line in include_str!("../../../qemu/debug.config").lines() {
            let request = line.starts_with("CONFIG_") && line.contains('=');
            assert!(request || line.is_empty() || line.starts_with('#'), "{line}");
        }
    }
}
