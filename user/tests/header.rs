// SPDX-License-Identifier: MIT OR Apache-2.0

//! `include/shmdev.h`, for programs in C and C++: made from the ABI's one definition, and compared with what is
//! checked in. To make it again: `SHMDEV_BLESS=1 cargo test -p shmdev --test header`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use cbindgen::{Builder, Config, DocumentationStyle, Language, Style};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

const PROLOGUE: &str = "\
/* SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0 */

/*
 * The ABI of /dev/shmdev. Made from kmod/uapi.rs; to change it, change that, and run
 *
 *     SHMDEV_BLESS=1 cargo test -p shmdev --test header
 *
 * What each call does, and every errno it can return, is written in docs/abi.md.
 */

#ifndef SHMDEV_H
#define SHMDEV_H

#include <stdint.h>
#include <linux/ioctl.h>

/**
 * The device node.
 */
#define SHMDEV_PATH \"/dev/shmdev\"

";

/// The definition, and what its items are called in C.
struct Abi {
    source: String,
    structs: Vec<String>,
    constants: Vec<String>,
}

/// An ioctl: `pub const IOC_X: u32 = opcode(DIRECTION, X_NR, size_of::<Struct>());` and its comment.
struct Opcode<'a> {
    name: &'a str,
    doc: Vec<&'a str>,
    direction: &'a str,
    nr: &'a str,
    structure: &'a str,
}

impl Abi {
    fn load() -> Self {
        let source = fs::read_to_string(here("src/uapi.rs")).expect("the ABI can be read");
        let names = |keyword: &str, end: char| {
            let name = |line: &str| Some(line.strip_prefix(keyword)?.split(end).next()?.to_owned());
            source.lines().filter_map(name).collect()
        };
        Self {
            structs: names("pub struct ", ' '),
            constants: names("pub const ", ':'),
            source,
        }
    }

    /// `SyncRange` is `shmdev_sync_range`, `SYNC_END` is `SHMDEV_SYNC_END`.
    fn in_c(&self, name: &str) -> Option<String> {
        if self.constants.iter().any(|constant| constant == name) {
            return Some(format!("SHMDEV_{name}"));
        }
        self.structs.iter().any(|structure| structure == name).then(|| {
            let underscore = |c: char| match c.is_ascii_uppercase() {
                true => format!("_{}", c.to_ascii_lowercase()),
                false => c.to_string(),
            };
            format!("shmdev{}", name.chars().map(underscore).collect::<String>())
        })
    }

    /// Links of Rust's documentation, as names in C: [`Stat::flags`] is `shmdev_stat.flags`.
    fn without_links(&self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, link)) = rest.split_once("[`") {
            out.push_str(before);
            let Some((name, after)) = link.split_once("`]") else {
                out.push_str("[`");
                rest = link;
                continue;
            };
            let (item, field) = name.split_once("::").unwrap_or((name, ""));
            let item = self
                .in_c(item)
                .unwrap_or_else(|| panic!("[`{name}`] is nothing in C"));
            let dot = if field.is_empty() { "" } else { "." };
            out.push_str(&format!("`{item}{dot}{field}`"));
            rest = after;
        }
        out + rest
    }

    /// Sets of constants: `SET_*` is `SHMDEV_SET_*`.
    fn with_prefixes(&self, text: String) -> String {
        let prefixes = self
            .constants
            .iter()
            .filter_map(|constant| constant.split('_').next());
        let known: BTreeSet<&str> = prefixes.collect();
        known.iter().fold(text, |text, prefix| {
            text.replace(&format!("`{prefix}_*`"), &format!("`SHMDEV_{prefix}_*`"))
        })
    }

    fn opcodes(&self) -> Vec<Opcode<'_>> {
        let mut opcodes = Vec::new();
        let mut doc = Vec::new();
        for line in self.source.lines() {
            if let Some(text) = line.strip_prefix("///") {
                doc.push(text.trim_start());
                continue;
            }
            let doc = std::mem::take(&mut doc);
            let parts = line.strip_prefix("pub const IOC_").and_then(|rest| {
                let (name, rest) = rest.split_once(": u32 = opcode(")?;
                let (direction, rest) = rest.split_once(", ")?;
                let (nr, rest) = rest.split_once(", size_of::<")?;
                Some((name, direction, nr, rest.strip_suffix(">());")?))
            });
            if let Some((name, direction, nr, structure)) = parts {
                opcodes.push(Opcode {
                    name,
                    doc,
                    direction,
                    nr,
                    structure,
                });
            }
        }
        opcodes
    }
}

impl Opcode<'_> {
    fn define(&self, abi: &Abi) -> String {
        let macro_name = match self.direction {
            "IOC_READ" => "_IOR",
            "IOC_WRITE" => "_IOW",
            "IOC_READ | IOC_WRITE" => "_IOWR",
            other => panic!("unknown direction {other}"),
        };
        // The macro itself is the definition that follows; what stands after it is the comment.
        let doc = self.doc.join(" ");
        let (_, doc) = doc.split_once("`: ").expect("`_IO…`: what it does");
        let (first, rest) = doc.split_at(1);
        let doc = first.to_uppercase() + rest;
        let structure = abi.in_c(self.structure).expect("a structure of the ABI");
        format!(
            "/**\n * {}\n */\n#define SHMDEV_IOC_{} {macro_name}(SHMDEV_IOC_TYPE, SHMDEV_{}, struct {structure})\n",
            abi.without_links(&doc),
            self.name,
            self.nr
        )
    }
}

fn header() -> String {
    let abi = Abi::load();
    let names = abi.structs.iter().chain(&abi.constants);
    let mut config = Config {
        language: Language::C,
        style: Style::Tag,
        no_includes: true,
        documentation_style: DocumentationStyle::Doxy,
        ..Config::default()
    };
    config.export.include = abi.structs.clone();
    config.export.rename = names
        .filter_map(|name| Some((name.clone(), abi.in_c(name)?)))
        .collect();
    let mut body = Vec::new();
    Builder::new()
        .with_config(config)
        .with_src(here("src/uapi.rs"))
        .generate()
        .expect("cbindgen understands the ABI")
        .write(&mut body);
    let body = String::from_utf8(body).expect("UTF-8");
    let body = abi
        .with_prefixes(abi.without_links(&body))
        // Text is of `char` in C.
        .replace("uint8_t name[", "char name[")
        // As the table of ioctl types in the kernel's documentation has it.
        .replace("SHMDEV_IOC_TYPE 187", "SHMDEV_IOC_TYPE 0xbb");
    let opcodes: Vec<String> = abi.opcodes().iter().map(|opcode| opcode.define(&abi)).collect();
    assert!(!opcodes.is_empty());
    format!(
        "{PROLOGUE}{}\n\n{}\n#endif /* SHMDEV_H */\n",
        body.trim(),
        opcodes.join("\n")
    )
}

#[test]
fn the_header_is_what_the_abi_makes() {
    let path = here("include/shmdev.h");
    let made = header();
    if env::var_os("SHMDEV_BLESS").is_some() {
        fs::create_dir_all(here("include")).expect("the directory can be made");
        fs::write(&path, made).expect("the header can be written");
        return;
    }
    let checked_in = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        made == checked_in,
        "{} is stale; make it again: SHMDEV_BLESS=1 cargo test -p shmdev --test header",
        path.display()
    );
}

/// Runs a compiler that may not be there; its messages when it refuses.
fn compile(compiler: &str, args: &[&str]) {
    let (include, multiarch) = (here("include"), multiarch());
    let output = Command::new(compiler)
        .args(["-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only"])
        .arg("-I")
        .arg(include)
        .args(&multiarch)
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output();
    match output {
        Ok(output) => assert!(
            output.status.success(),
            "{compiler} {args:?}\n{}",
            String::from_utf8_lossy(&output.stderr)
        ),
        // A C compiler is what cargo links with, one for C++ is not.
        Err(error) => assert_ne!(compiler, "cc", "{error}"),
    }
}

/// 32-bit gcc does not look where Debian and its like keep the kernel's headers for x86.
fn multiarch() -> Vec<String> {
    let output = Command::new("cc").arg("-print-multiarch").output();
    let triplet = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    match triplet {
        Ok(triplet) if !triplet.is_empty() => vec!["-idirafter".into(), format!("/usr/include/{triplet}")],
        _ => Vec::new(),
    }
}

#[test]
fn the_header_is_c_and_cpp_with_the_known_numbers() {
    compile("cc", &["-std=c11", "tests/c/abi.c"]);
    compile("c++", &["-std=c++11", "-x", "c++", "tests/c/abi.c"]);
}

const EXAMPLES: [&str; 2] = ["examples/c/client.c", "examples/c/mutex.c"];

#[test]
fn the_c_examples_compile() {
    for example in EXAMPLES {
        compile("cc", &["-std=c11", "-D_POSIX_C_SOURCE=200809L", example]);
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn both_are_the_same_in_32_bits() {
    compile("cc", &["-std=c11", "-m32", "-ffreestanding", "tests/c/abi.c"]);
    for example in EXAMPLES {
        let freestanding = ["-std=c11", "-m32", "-ffreestanding", "-DFREESTANDING", example];
        compile("cc", &freestanding);
    }
}
