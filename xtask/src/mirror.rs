// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where Debian packages come from: `SHMDEV_MIRROR`, else the host's own mirror if the host is Debian, else whatever
//! mmdebstrap takes by itself. Reads apt's configuration; never changes it.

use std::{env, fs, path::Path};

use crate::debian::Recipe;

/// Signatures are checked against this keyring, on the host and in the root.
pub const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The archives to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// The main archive.
    pub main: String,
    /// The security archive, if one is known to be in reach.
    pub security: Option<String>,
}

impl Mirror {
    /// What the environment and the host say; nothing when mmdebstrap is to choose.
    pub fn find() -> Option<Self> {
        let host = if is_debian() {
            read_sources(Path::new("/etc/apt"))
        } else {
            Vec::new()
        };
        Mirror::choose(
            env::var("SHMDEV_MIRROR").ok().filter(|set| !set.is_empty()),
            &host,
        )
    }

    /// What the tree at `root` was made from.
    pub fn of_root(root: &Path) -> Option<Self> {
        Mirror::choose(None, &read_sources(&root.join("etc/apt")))
    }

    fn choose(named: Option<String>, known: &[Entry]) -> Option<Self> {
        if let Some(main) = named {
            return Some(Mirror {
                main: main.trim_end_matches('/').to_owned(),
                security: None,
            });
        }
        let find = |security: bool| {
            let usable = |entry: &&Entry| {
                entry.uri.starts_with("http") && entry.is_debian && entry.security == security
            };
            known.iter().find(usable).map(|entry| entry.uri.clone())
        };
        Some(Mirror {
            main: find(false)?,
            security: find(true),
        })
    }

    /// The root's `sources.list`.
    pub fn sources_list(&self, recipe: &Recipe) -> String {
        let line = |uri: &str, suite: &str| format!("deb [signed-by={KEYRING}] {uri} {suite} main\n");
        let mut list: String = recipe
            .suites
            .iter()
            .map(|suite| line(&self.main, suite))
            .collect();
        if let Some(security) = &self.security {
            list += &line(security, &recipe.security);
        }
        list
    }
}

/// One archive in apt's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    uri: String,
    is_debian: bool,
    security: bool,
}

impl Entry {
    fn new(uri: &str, suites: &[&str], components: &[&str]) -> Self {
        let code_name = |suite: &str| suite.split(['-', '/']).next().unwrap_or("").to_owned();
        let debian = [
            "bookworm", "trixie", "forky", "duke", "sid", "stable", "testing", "unstable", "bullseye",
        ];
        Entry {
            uri: uri.trim_end_matches('/').to_owned(),
            is_debian: components.contains(&"main")
                && suites.iter().any(|suite| debian.contains(&&*code_name(suite))),
            security: suites
                .iter()
                .any(|suite| suite.ends_with("-security") || suite.ends_with("/updates")),
        }
    }
}

fn is_debian() -> bool {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    release.lines().any(|line| line == "ID=debian")
}

fn read_sources(etc_apt: &Path) -> Vec<Entry> {
    let mut files = vec![etc_apt.join("sources.list")];
    if let Ok(dir) = fs::read_dir(etc_apt.join("sources.list.d")) {
        let mut parts: Vec<_> = dir.flatten().map(|entry| entry.path()).collect();
        parts.sort();
        files.extend(parts);
    }
    let mut entries = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap_or_default();
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("list") => entries.extend(parse_one_line(&text)),
            Some("sources") => entries.extend(parse_deb822(&text)),
            _ => {}
        }
    }
    entries
}

/// The `deb URI SUITE COMPONENT…` format.
fn parse_one_line(text: &str) -> Vec<Entry> {
    let parse = |line: &str| {
        let line = line.split('#').next()?.trim();
        let rest = line.strip_prefix("deb")?.strip_prefix([' ', '\t'])?.trim_start();
        // Options in brackets may contain spaces.
        let rest = if rest.starts_with('[') {
            rest.split_once(']')?.1
        } else {
            rest
        };
        let mut words = rest.split_whitespace();
        let (uri, suite) = (words.next()?, words.next()?);
        Some(Entry::new(uri, &[suite], &words.collect::<Vec<_>>()))
    };
    text.lines().filter_map(parse).collect()
}

/// The format of paragraphs with `Types:`, `URIs:`, `Suites:` and `Components:`.
fn parse_deb822(text: &str) -> Vec<Entry> {
    let text: String = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(|line| [line, "\n"])
        .collect();
    let mut entries = Vec::new();
    for paragraph in text.split("\n\n") {
        let field = |name: &str| field(paragraph, name);
        let has = |name: &str, value: &str| field(name).split_whitespace().any(|word| word == value);
        if !has("types", "deb") || has("enabled", "no") {
            continue;
        }
        let (suites, components) = (field("suites"), field("components"));
        let suites: Vec<&str> = suites.split_whitespace().collect();
        let components: Vec<&str> = components.split_whitespace().collect();
        entries.extend(
            field("uris")
                .split_whitespace()
                .map(|uri| Entry::new(uri, &suites, &components)),
        );
    }
    entries
}

/// A field's value, with its continuation lines.
fn field(paragraph: &str, name: &str) -> String {
    let mut value = String::new();
    let mut inside = false;
    for line in paragraph.lines() {
        if line.starts_with([' ', '\t']) {
            if inside {
                value += line;
            }
            continue;
        }
        inside = false;
        if let Some((key, rest)) = line.split_once(':') {
            if key.eq_ignore_ascii_case(name) {
                inside = true;
                value += rest;
            }
        }
    }
    value.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deb822_sources_are_understood() {
        let text = "# made by an installer\nTypes: deb\n# a comment inside\nURIs: http://mirror.example/debian/\n\
                    Suites: bookworm\n bookworm-updates\nComponents: main contrib\nSigned-By: /x.gpg\n\n\
                    Types: deb\nURIs: http://mirror.example/debian-security\nSuites: bookworm-security\nComponents: main\n\n\
                    Types: deb-src\nURIs: http://src.example/debian\nSuites: bookworm\nComponents: main\n\n\
                    Enabled: no\nTypes: deb\nURIs: http://off.example/debian\nSuites: bookworm\nComponents: main\n";
        let entries = parse_deb822(text);
        assert_eq!(entries.len(), 2, "{entries:?}");
        let mirror = Mirror {
            main: "http://mirror.example/debian".into(),
            security: Some("http://mirror.example/debian-security".into()),
        };
        assert_eq!(Mirror::choose(None, &entries), Some(mirror));
    }

    #[test]
    fn one_line_sources_are_understood() {
        let text = "# deb http://no.example/debian bookworm main\n\
                    deb-src http://src.example/debian bookworm main\n\
                    deb [arch=amd64 signed-by=/k] http://other.example/apt nodistro main\n\
                    deb [ arch=amd64 ] http://mirror.example/debian bookworm main # ours\n";
        assert_eq!(
            Mirror::choose(None, &parse_one_line(text)).unwrap().main,
            "http://mirror.example/debian"
        );
    }

    #[test]
    fn a_third_partys_archive_is_not_debians() {
        let entries = parse_one_line("deb https://other.example/apt sdk-bookworm main\n");
        assert_eq!(Mirror::choose(None, &entries), None);
    }

    #[test]
    fn a_root_knows_what_it_was_made_from() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(Mirror::of_root(root.path()), None);
        let apt = root.path().join("etc/apt");
        fs::create_dir_all(&apt).unwrap();
        // As mmdebstrap writes it when it is given no mirror.
        let made = "deb [signed-by=\"/k.gpg\"] http://mirror.example/debian trixie main\n\
                    deb [signed-by=\"/k.gpg\"] http://mirror.example/debian trixie-updates main\n\
                    deb [signed-by=\"/k.gpg\"] http://safe.example/debian-security trixie-security main\n";
        fs::write(apt.join("sources.list"), made).unwrap();
        let mirror = Mirror::of_root(root.path()).unwrap();
        assert_eq!(mirror.main, "http://mirror.example/debian");
        assert_eq!(
            mirror.security.as_deref(),
            Some("http://safe.example/debian-security")
        );
    }

    #[test]
    fn the_environment_comes_first() {
        let entries = parse_one_line("deb http://mirror.example/debian bookworm main\n");
        let mirror = Mirror {
            main: "http://named.example/debian".into(),
            security: None,
        };
        let named = Some("http://named.example/debian/".into());
        assert_eq!(Mirror::choose(named, &entries), Some(mirror));
    }
}
