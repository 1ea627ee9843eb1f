// SPDX-License-Identifier: MIT OR Apache-2.0

//! What trouble looks like in a kernel log: the one table, and the search through it.
//!
//! The file uses `core` alone and nothing of its crate, so that whoever reads a kernel log (the tests in the guest,
//! the runner on the host) can include it and look for the same things. It must not do I/O.

/// A piece of text that a healthy kernel never logs, and what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// What the line contains, case included.
    pub text: &'static str,
    /// What has gone wrong when it does.
    pub meaning: &'static str,
}

const fn pattern(text: &'static str, meaning: &'static str) -> Pattern {
    Pattern { text, meaning }
}

/// What a reader of the log says in place of records that it lost.
pub const LOST: &str = "(the log was overwritten before it could be read)";

/// Everything that counts as trouble. Specific lines come first: the first match names the trouble.
pub const PATTERNS: &[Pattern] = &[
    pattern(LOST, "what the kernel said is lost"),
    // The kernel stops or crashes.
    pattern("Kernel panic - not syncing", "the kernel panicked"),
    pattern("rust_kernel: panicked at", "Rust code in the kernel panicked"),
    pattern("kernel BUG at", "a kernel assertion failed"),
    pattern("Oops:", "the kernel crashed"),
    pattern("general protection fault", "the kernel crashed"),
    pattern("unable to handle", "the kernel used a bad address"),
    pattern("Unable to handle", "the kernel used a bad address"),
    pattern("double fault", "the kernel crashed"),
    pattern(
        "stack-protector: Kernel stack is corrupted",
        "a kernel stack was overwritten",
    ),
    pattern("kernel stack overflow", "a kernel stack was overrun"),
    // Sanitizers and debugging aids.
    pattern("BUG: KASAN", "KASAN found a bad memory access"),
    pattern("BUG: KFENCE", "KFENCE found a bad memory access"),
    pattern("UBSAN:", "UBSAN found undefined behaviour"),
    pattern("new suspected memory leaks", "kmemleak found a leak"),
    pattern("page_table_check:", "a page was freed while it was mapped"),
    pattern("Bad page state", "a page was freed in a bad state"),
    pattern("BUG: Bad", "memory management found a bad state"),
    pattern("Bad rss-counter", "memory was accounted wrongly"),
    pattern("pagealloc: memory corruption", "freed memory was written"),
    pattern("ODEBUG:", "a kernel object was used out of its life"),
    pattern("refcount_t:", "a reference count went wrong"),
    pattern(
        "usercopy: Kernel memory",
        "a copy to or from user space left its object",
    ),
    pattern("list_add corruption", "a linked list was corrupted"),
    pattern("list_del corruption", "a linked list was corrupted"),
    pattern("Poison overwritten", "freed memory was written"),
    pattern("Redzone overwritten", "memory beyond an object was written"),
    pattern("Object already free", "memory was freed twice"),
    // Locking.
    pattern("possible recursive locking", "lockdep: a lock taken twice"),
    pattern("possible circular locking", "lockdep: locks taken in two orders"),
    pattern(
        "possible irq lock inversion",
        "lockdep: a lock order that interrupts break",
    ),
    pattern(
        "lock order detected",
        "lockdep: a lock order that interrupts break",
    ),
    pattern("inconsistent lock state", "lockdep: a lock used in two contexts"),
    pattern(
        "INFO: trying to register non-static key",
        "lockdep: a lock that was not initialised",
    ),
    pattern(
        "Invalid wait context",
        "lockdep: a sleeping lock inside a spinning one",
    ),
    pattern("bad unlock balance", "lockdep: a lock released that was not held"),
    pattern("held lock freed", "lockdep: a lock freed while it was held"),
    pattern(
        "lock held when returning to user space",
        "lockdep: a lock was left held",
    ),
    pattern("locks held by", "lockdep: locks in a report"),
    pattern("suspicious RCU usage", "RCU-protected data was used unprotected"),
    pattern(
        "Voluntary context switch within RCU",
        "a sleep inside an RCU reader",
    ),
    pattern(
        "sleeping function called from invalid context",
        "a sleep in atomic context",
    ),
    pattern("scheduling while atomic", "a sleep in atomic context"),
    pattern("do not call blocking ops when", "a wait inside a wait"),
    // Things that stop moving.
    pattern("blocked for more than", "a task hung"),
    pattern("soft lockup", "a processor hung"),
    pattern("hard LOCKUP", "a processor hung"),
    pattern("rcu: INFO:", "RCU stalled"),
    pattern("detected stall", "RCU stalled"),
    pattern("workqueue lockup", "a work queue hung"),
    // Memory that ran out with noise.
    pattern(
        "invoked oom-killer",
        "memory ran out and a process was killed for it",
    ),
    pattern("Out of memory:", "memory ran out and a process was killed for it"),
    pattern(
        "Memory cgroup out of memory",
        "a memory cgroup ran out and a process was killed for it",
    ),
    pattern("page allocation failure", "an allocation failed with a warning"),
    // Whatever else the kernel has to say about itself.
    pattern("BUG:", "the kernel found a bug"),
    pattern("WARNING:", "the kernel warned about itself"),
    pattern("INFO: task", "a task hung"),
    // Not every stack: the kernel also prints one when it fails to get memory of its own, as fault injection makes it.
    pattern(
        "[shmdev]",
        "the kernel printed a stack that leads through the module",
    ),
    pattern(
        "------------[ cut here ]------------",
        "the kernel warned about itself",
    ),
];

/// The first pattern that the line contains, or nothing for a harmless line.
pub fn find(line: &str) -> Option<&'static Pattern> {
    PATTERNS.iter().find(|pattern| line.contains(pattern.text))
}

#[cfg(test)]
mod tests {
    use super::{PATTERNS, find};

    #[test]
    fn every_pattern_finds_itself_or_a_more_specific_one() {
        for pattern in PATTERNS {
            let line = format!("[   12.345678] {} in something", pattern.text);
            assert!(find(&line).is_some(), "{pattern:?}");
        }
    }

    #[test]
    fn no_pattern_is_hidden_behind_an_earlier_one() {
        for (index, later) in PATTERNS.iter().enumerate() {
            let earlier = PATTERNS[..index]
                .iter()
                .find(|earlier| later.text.contains(earlier.text));
            assert!(
                earlier.is_none(),
                "{later:?} never matches, {earlier:?} comes first"
            );
        }
    }

    #[test]
    fn reports_of_every_kind_are_recognised() {
        for (line, meaning) in [
            (
                "BUG: KASAN: slab-use-after-free in shmdev_release+0x1/0x2",
                "KASAN found a bad memory access",
            ),
            (
                "WARNING: CPU: 1 PID: 77 at mm/memory.c:2000 remap_pfn_range+0x1",
                "the kernel warned about itself",
            ),
            (
                "WARNING: possible circular locking dependency detected",
                "lockdep: locks taken in two orders",
            ),
            ("Oops: 0002 [#1] SMP NOPTI", "the kernel crashed"),
            (
                "BUG: unable to handle page fault for address: ffff",
                "the kernel used a bad address",
            ),
            (
                "kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
                "kmemleak found a leak",
            ),
            (
                "INFO: task shmdev-tests:99 blocked for more than 120 seconds.",
                "a task hung",
            ),
            (
                "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
                "RCU stalled",
            ),
            (
                "rust_kernel: panicked at kmod/sync.rs:1:2:",
                "Rust code in the kernel panicked",
            ),
            (
                "Memory cgroup out of memory: Killed process 7",
                "a memory cgroup ran out and a process was killed for it",
            ),
        ] {
            let found = find(line).unwrap_or_else(|| panic!("not recognised: {line}"));
            let expected = PATTERNS
                .iter()
                .any(|p| p.meaning == meaning && line.contains(p.text));
            assert!(expected, "{line}: no pattern says {meaning}, {found:?} matched");
        }
    }

    #[test]
    fn the_lines_of_a_healthy_boot_are_not_trouble() {
        for line in [
            "Linux version 7.3.4+deb13-amd64 (debian-kernel@lists.debian.org)",
            "Kernel command line: console=ttyS0 quiet oops=panic panic_on_warn=1 panic=-1",
            "rcu: Preemptible hierarchical RCU implementation.",
            "rcu: \tRCU debug extended QS entry/exit.",
            "shmdev: loading out-of-tree module taints kernel.",
            "Modules linked in: shmdev(O) 9p 9pnet_virtio",
            "exe: vmalloc error: size 32768, align 0x8000, vm_struct allocation failed, mode:0xdc0",
            "shmdev: module verification failed: signature and/or required key missing - tainting kernel",
            "Lock dependency validator: Copyright (c) 2006 Red Hat, Inc., Ingo Molnar",
            "kmemleak: Kernel memory leak detector initialized (mem pool available: 15648)",
            "Freeing unused kernel image (initmem) memory: 4096K",
            "shmdev-tests[212]: segfault at 7f0000000000 ip 0000000000401000 sp 00007ffd error 6",
            "audit: type=1400 audit(1.0:2): apparmor=\"STATUS\"",
            "debug_vm_pgtable: [debug_vm_pgtable         ]: Validating architecture page table helpers",
            "",
        ] {
            assert_eq!(find(line), None, "{line}");
        }
    }
}
