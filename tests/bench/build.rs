// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tells the program which compiler makes it: what its own code costs depends on that.

use std::{env, process::Command};

fn main() {
    // cargo starts this anew when it has another compiler.
    println!("cargo::rerun-if-changed=build.rs");
    let rustc = env::var_os("RUSTC").expect("cargo names the compiler");
    let said = Command::new(rustc).arg("--version").output();
    let version =
        String::from_utf8(said.expect("the compiler runs").stdout).expect("the compiler speaks UTF-8");
    println!("cargo::rustc-env=BENCH_RUSTC={}", version.trim());
}
