// SPDX-License-Identifier: MIT OR Apache-2.0
//! Debian's archive, as apt sees it: which kernels it has, and their packages. It is the host's apt, which mmdebstrap
//! needs too, but nothing of the host's configuration, and there need not be a root yet.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::{
    cache::{self, Kind, Lock},
    ctx::Ctx,
    debian::Recipe,
    disk,
    error::Failure,
    mirror::Mirror,
    root::Root,
    run,
    sandbox::isolated,
};

/// A kernel in the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// `7.3`.
    pub series: String,
    /// `7.3.4+deb13-amd64`.
    pub release: String,
    /// `7.3.4-1~bpo13+1`.
    pub version: String,
}

impl Choice {
    /// Everything that is needed of it; in this order: source, configuration, headers, kernel, modules.
    pub fn packages(&self) -> [String; 5] {
        let Choice { series, release, .. } = self;
        [
            format!("linux-source-{series}"),
            format!("linux-config-{series}"),
            format!("linux-headers-{release}"),
            format!("linux-binary-{release}"),
            format!("linux-modules-{release}"),
        ]
    }
}

/// The archive, with fresh lists, as long as nobody else asks.
pub struct Archive<'a> {
    ctx: &'a Ctx,
    dir: PathBuf,
    mirror: Mirror,
    _lock: Lock,
}

impl<'a> Archive<'a> {
    /// Fetches the package lists, from today's mirror: the root may be older. Where mmdebstrap chose one, it is the root's.
    pub fn open(ctx: &'a Ctx, recipe: &Recipe, root: Option<&Root>) -> Result<Self> {
        let (dir, lock) = ctx.cache.workspace(&ctx.ui, Kind::Debs, "kernels")?;
        for part in ["lists/partial", "archives/partial"] {
            cache::create_dir(&dir.join(part))?;
        }
        let mirror = Mirror::find()
            .or_else(|| Mirror::of_root(root?.path()))
            .ok_or_else(|| {
                Failure::machinery(
                    "neither the host nor the build root names a mirror of Debian's: set SHMDEV_MIRROR to one",
                )
            })?;
        for (name, text) in [
            ("sources.list", mirror.sources_list(recipe)),
            (CONFIGURATION, configuration(&dir)?),
        ] {
            let path = dir.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        let archive = Archive {
            ctx,
            dir,
            mirror,
            _lock: lock,
        };
        let task = ctx.ui.task("package lists", 0);
        run::logged(ctx, archive.apt("apt-get").arg("update"), "apt-update", |line| {
            task.message(line.unwrap_or_default());
        })
        .with_context(|| {
            format!(
                "the package lists could not be fetched from {}: check the network (behind a proxy, set http_proxy), or \
                 set SHMDEV_MIRROR to another mirror",
                archive.mirror.main
            )
        })?;
        task.finish();
        Ok(archive)
    }

    /// The newest kernel of `series` that is there as a whole; of the newest series there is, if the named one has left
    /// the archive.
    pub fn choose(&self, recipe: &Recipe, series: &str) -> Result<Choice> {
        if let Some(choice) = self.newest(series, &recipe.kernels.flavour)? {
            return Ok(choice);
        }
        let oldest = recipe
            .kernels
            .series
            .iter()
            .filter_map(|series| number(series))
            .min();
        let mut others = self.names("linux-source-")?;
        others.retain(|other| number(other).is_some() && number(other) >= oldest);
        others.sort_by_key(|other| std::cmp::Reverse(number(other)));
        for other in &others {
            if let Some(choice) = self.newest(other, &recipe.kernels.flavour)? {
                return Ok(choice);
            }
        }
        Err(Failure::machinery(format!(
            "{} has no kernel {series}, nor a later one, as a whole (source, configuration, headers, kernel and modules of one \
             version), or it cannot be reached: a mirror that is being updated mends itself within hours; else check the \
             network, or set SHMDEV_MIRROR to another mirror that has {}",
            self.mirror.main,
            recipe.suites.join(", ")
        )))
    }

    /// The very kernel whose `uname -r` is `release`.
    pub fn exact(&self, release: &str) -> Result<Choice> {
        let parts = parse_release(release).context("not a release of Debian's")?;
        let mut names = vec![
            format!("linux-source-{}", parts.series),
            format!("linux-config-{}", parts.series),
        ];
        names.extend(["headers", "binary", "modules"].map(|part| format!("linux-{part}-{release}")));
        let listed = run::output(self.ctx, self.apt("apt-cache").arg("madison").args(&names))?;
        newest(&parse_madison(&listed), &parts.series, &[release.to_owned()]).ok_or_else(|| {
            Failure::machinery(format!(
                "{} has no longer, or does not yet have, what {release} was made from: boot the newest kernel of \
                 trixie-backports (`apt-get install -t trixie-backports linux-image-{}`), or set SHMDEV_MIRROR to another \
                 mirror, and try again",
                self.mirror.main, parts.flavour
            ))
        })
    }

    /// Fetches packages; their files, in the order asked for.
    pub fn fetch(&self, packages: &[String], version: &str) -> Result<Vec<PathBuf>> {
        let wanted: Vec<_> = packages
            .iter()
            .map(|package| format!("{package}={version}"))
            .collect();
        let archives = self.dir.join("archives");
        let download = |dir| {
            let mut apt = self.apt("apt-get");
            apt.arg("download").args(&wanted).current_dir(dir);
            apt
        };
        // Where the files are already, apt would leave them out.
        let uris = run::output(self.ctx, download(&self.dir).arg("--print-uris"))?;
        let files = parse_uris(&uris);
        let total = files.iter().map(|(_, size)| size).sum();
        let so_far = || {
            let size = |dir: &Path, name: &str| fs::metadata(dir.join(name)).map_or(0, |data| data.len());
            let sizes = files
                .iter()
                .map(|(name, _)| size(&archives, name) + size(&archives.join("partial"), name));
            sizes.sum::<u64>()
        };
        disk::require(self.ctx, "a kernel's packages", total >> 20)?;
        let task = self.ctx.ui.task(
            &format!("kernel packages {version} ({})", disk::human(total)),
            total,
        );
        run::logged(self.ctx, &mut download(&archives), "apt-download", |line| {
            if line.is_none() {
                task.set(so_far(), "");
            }
        })
        .context("a kernel's packages could not be fetched: check the network and try again, what is there is kept")?;
        task.finish();
        packages
            .iter()
            .map(|package| {
                let prefix = format!("{package}_");
                let file = files.iter().find(|(name, _)| name.starts_with(&prefix));
                let (name, _) = file.with_context(|| format!("apt did not say where {package} is"))?;
                Ok(archives.join(name))
            })
            .collect()
    }

    /// Removes packages that were fetched, and are a tenth of the cache.
    pub fn forget(self, files: &[PathBuf]) -> Result<()> {
        let remove = |file: &PathBuf| {
            fs::remove_file(file).with_context(|| format!("cannot remove {}", file.display()))
        };
        files.iter().try_for_each(remove)
    }

    fn newest(&self, series: &str, flavour: &str) -> Result<Option<Choice>> {
        let releases = self.names(&format!("linux-headers-{series}."))?;
        let releases: Vec<_> = releases
            .iter()
            .filter_map(|rest| release(series, rest, flavour))
            .collect();
        let mut names = vec![format!("linux-source-{series}"), format!("linux-config-{series}")];
        for release in &releases {
            names.extend(["headers", "binary", "modules"].map(|part| format!("linux-{part}-{release}")));
        }
        let listed = run::output(self.ctx, self.apt("apt-cache").arg("madison").args(&names))?;
        Ok(newest(&parse_madison(&listed), series, &releases))
    }

    /// What follows `prefix` in the names of packages.
    fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let names = run::output(self.ctx, self.apt("apt-cache").args(["pkgnames", prefix]))?;
        Ok(names
            .lines()
            .filter_map(|name| name.strip_prefix(prefix))
            .map(str::to_owned)
            .collect())
    }

    fn apt(&self, program: &str) -> Command {
        let mut command = isolated(program);
        command
            .arg("-q")
            .env("APT_CONFIG", self.dir.join(CONFIGURATION))
            .env("LC_ALL", "C.UTF-8");
        command
    }
}

/// The name of the file that apt is configured by.
const CONFIGURATION: &str = "apt.conf";

/// The host's own apt is configured by other files, so that neither its sources and preferences count nor its hooks are
/// called.
fn configuration(dir: &Path) -> Result<String> {
    let quotable = |dir: &&str| !dir.contains('"');
    let dir = dir.to_str().filter(quotable).ok_or_else(|| {
        Failure::usage(format!(
            "{} cannot be in the cache: apt has no way to name it; set SHMDEV_CACHE to a directory with a plainer name",
            dir.display()
        ))
    })?;
    Ok(format!(
        r#"APT::Architecture "amd64";
APT::Architectures {{ "amd64"; }};
APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Acquire::Retries "3";
Dir::Cache "{dir}";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Dir::Etc::main "/dev/null";
Dir::Etc::netrc "/dev/null";
Dir::Etc::netrcparts "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::Etc::sourcelist "{dir}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::State "{dir}";
Dir::State::status "/dev/null";
"#
    ))
}

/// A Debian release string's parts.
#[derive(Debug, PartialEq, Eq)]
pub struct Release {
    /// `7.3`.
    pub series: String,
    /// `cloud-amd64`.
    pub flavour: String,
}

/// Takes `7.3.4+deb13-cloud-amd64` apart; nothing when it is not such.
pub fn parse_release(release: &str) -> Option<Release> {
    let (upstream, rest) = release.split_once("+deb")?;
    let flavour = rest
        .trim_start_matches(|c: char| c.is_ascii_digit())
        .strip_prefix('-')?;
    let mut numbers = upstream.split('.');
    let series = format!("{}.{}", numbers.next()?, numbers.next()?);
    number(&series).map(|_| Release {
        series,
        flavour: flavour.to_owned(),
    })
}

/// A series as a number to compare by.
fn number(series: &str) -> Option<(u32, u32)> {
    let (major, minor) = series.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// The release that `linux-headers-SERIES.REST` is for, if it is of this flavour and no other.
fn release(series: &str, rest: &str, flavour: &str) -> Option<String> {
    let upstream = rest.strip_suffix(flavour)?.strip_suffix('-')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "+.~".contains(c);
    upstream.chars().all(plain).then(|| format!("{series}.{rest}"))
}

/// Versions of each package, from `apt-cache madison`; newest first, as apt lists them.
fn parse_madison(text: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in text.lines() {
        let mut columns = line.split('|').map(str::trim);
        if let (Some(package), Some(version), Some(_)) = (columns.next(), columns.next(), columns.next()) {
            versions.entry(package).or_default().push(version);
        }
    }
    versions
}

/// The newest version for which all five packages are there.
fn newest(versions: &BTreeMap<&str, Vec<&str>>, series: &str, releases: &[String]) -> Option<Choice> {
    let sources = versions.get(&*format!("linux-source-{series}"))?;
    let tried: BTreeSet<&String> = releases.iter().collect();
    sources.iter().find_map(|&version| {
        let choices = tried.iter().map(|&release| Choice {
            series: series.to_owned(),
            release: release.clone(),
            version: version.to_owned(),
        });
        let has = |package: &String| {
            versions
                .get(&**package)
                .is_some_and(|found| found.contains(&version))
        };
        choices
            .into_iter()
            .find(|choice| choice.packages().iter().all(has))
    })
}

/// File names and sizes, from `apt-get download --print-uris`.
fn parse_uris(text: &str) -> Vec<(String, u64)> {
    let parse = |line: &str| {
        let mut words = line.strip_prefix('\'')?.split_once('\'')?.1.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
    };
    text.lines().filter_map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MADISON: &str = "\
linux-source-7.2 | 7.2.12-1~bpo13+1 | http://m/debian trixie-backports/main amd64 Packages
linux-source-7.2 | 7.2.11-1~bpo13+1 | http://m/debian trixie-backports/main amd64 Packages
linux-config-7.2 | 7.2.12-1~bpo13+1 | http://m/debian trixie-backports/main amd64 Packages
linux-config-7.2 | 7.2.11-1~bpo13+1 | http://m/debian trixie-backports/main amd64 Packages
linux-headers-7.2.11+deb13-amd64 | 7.2.11-1~bpo13+1 | http://m/debian trixie-backports/main amd64 Packages
linux-binary-7.2.11+deb13-amd64 | 7.2.11-1~bpo13+1 | http://m/debian trixie-backports/main amd64 Packages
linux-modules-7.2.11+deb13-amd64 | 7.2.11-1~bpo13+1 | http://m/debian trixie-backports/main amd64 Packages
linux-headers-7.2.12+deb13-amd64 | 7.2.12-1~bpo13+1 | http://m/debian trixie-backports/main amd64 Packages
linux-modules-7.2.12+deb13-amd64 | 7.2.12-1~bpo13+1 | http://m/debian trixie-backports/main amd64 Packages
";

    fn releases() -> Vec<String> {
        ["7.2.11+deb13-amd64", "7.2.12+deb13-amd64"]
            .map(str::to_owned)
            .into()
    }

    #[test]
    fn a_version_of_which_a_package_is_missing_is_passed_over() {
        let choice = newest(&parse_madison(MADISON), "7.2", &releases()).unwrap();
        assert_eq!(choice.version, "7.2.11-1~bpo13+1");
        assert_eq!(choice.release, "7.2.11+deb13-amd64");
    }

    #[test]
    fn the_newest_whole_version_is_taken() {
        let binary = "linux-binary-7.2.12+deb13-amd64 | 7.2.12-1~bpo13+1 | http://m/debian x\n";
        let text = format!("{MADISON}{binary}");
        let choice = newest(&parse_madison(&text), "7.2", &releases()).unwrap();
        assert_eq!(choice.release, "7.2.12+deb13-amd64");
    }

    #[test]
    fn an_archive_without_the_series_gives_nothing() {
        assert_eq!(newest(&parse_madison(MADISON), "7.3", &[]), None);
    }

    #[test]
    fn other_flavours_are_not_mistaken_for_the_plain_one() {
        assert_eq!(
            release("7.3", "4+deb13-amd64", "amd64").as_deref(),
            Some("7.3.4+deb13-amd64")
        );
        assert_eq!(release("7.3", "4+deb13-cloud-amd64", "amd64"), None);
        assert_eq!(release("7.3", "4+deb13-rt-amd64", "amd64"), None);
        assert_eq!(release("7.3", "4+deb13-common", "amd64"), None);
    }

    #[test]
    fn a_release_is_taken_apart() {
        let parts = parse_release("7.3.4+deb13-cloud-amd64").unwrap();
        assert_eq!(
            parts,
            Release {
                series: "7.3".into(),
                flavour: "cloud-amd64".into()
            }
        );
        assert_eq!(parse_release("6.18.44-generic"), None);
    }

    #[test]
    fn series_are_compared_as_numbers() {
        assert!(number("7.10") > number("7.9"));
        assert_eq!(number("7.3-rt"), None);
    }

    #[test]
    fn file_names_and_sizes_come_from_apts_list() {
        let text = "'http://m/x.deb' linux-source-7.3_7.3.4-1%7ebpo13+1_all.deb 167000000 SHA256:00\nnoise\n";
        assert_eq!(
            parse_uris(text),
            [(
                "linux-source-7.3_7.3.4-1%7ebpo13+1_all.deb".to_owned(),
                167_000_000
            )]
        );
    }
}
