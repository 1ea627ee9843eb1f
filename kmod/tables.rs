// SPDX-License-Identifier: GPL-2.0

//! What debugfs shows: who has what, and who waits for whom. Not a part of the ABI.

use crate::{
    handle::Device,
    missing::{
        clock,
        debugfs::{
            is_full,
            Shows,
            Write, //
        },
        pages::MapMode, //
    },
    name::Name,
    segment::Segment,
    sync::ranges::Access,
    uapi, //
};
use kernel::{
    prelude::*,
    seq_file::SeqFile,
    seq_print, //
};

impl Shows for Device {
    const FILES: &'static [(&'static CStr, Write<Self>)] = &[
        (c"segments", segments),
        (c"ranges", ranges),
        (c"words", words),
        (c"usage", usage),
    ];
}

fn name_of(segment: &Segment) -> &str {
    let unnamed = if segment.is_default() {
        "(default)"
    } else {
        "(anonymous)"
    };
    segment.name().map_or(unnamed, Name::as_str)
}

fn segments(device: &Device, lines: &SeqFile) {
    let registry = &device.registry;
    seq_print!(
        lines,
        "ipcns id uid gid mode size mapped pieces nattch handles held waiting generation flags map name\n"
    );
    let shown = registry.for_each_segment(|namespace, segment| {
        let stat = segment.stat();
        let owners = segment.owners();
        let has = |flag: u32| stat.flags & flag != 0;
        let flags = match (has(uapi::SEGMENT_AUTO_REMOVE), has(uapi::SEGMENT_REMOVED)) {
            (false, false) => "-",
            (true, false) => "a",
            (false, true) => "r",
            (true, true) => "ar",
        };
        let map = match segment.map_mode() {
            MapMode::Pfn => "pfn",
            MapMode::Fault => "fault",
            MapMode::Huge => "huge",
        };
        seq_print!(
            lines,
            "{} {} {} {} {:04o} {} {} {} {} {} {} {} {} {} {} {}\n",
            namespace,
            stat.target.id,
            owners.uid.global(),
            owners.gid.global(),
            owners.mode,
            stat.size,
            stat.mapped_size,
            stat.pieces,
            stat.nattch,
            stat.handles,
            stat.holders,
            stat.waiters,
            stat.generation,
            flags,
            map,
            name_of(segment)
        );
        !is_full(lines)
    });
    say_if_cut_off(lines, shown);
}

/// No memory: what is shown is not all.
fn say_if_cut_off(lines: &SeqFile, shown: Result) {
    if shown.is_err() {
        seq_print!(lines, "(no memory for the rest)\n");
    }
}

fn ranges(device: &Device, lines: &SeqFile) {
    let registry = &device.registry;
    // One for all lines: who has waited longer is shown so.
    let now = clock::ticks();
    seq_print!(
        lines,
        "ipcns id name state start end access token pid age_ms\n"
    );
    let shown = registry.for_each_segment(|namespace, segment| {
        segment.locks().for_each(|request, held, since| {
            seq_print!(
                lines,
                "{} {} {} {} {} {} {} {} {} {}\n",
                namespace,
                segment.id(),
                name_of(segment),
                if held { "held" } else { "waits" },
                request.range.start,
                request.range.end,
                match request.access {
                    Access::Read => "read",
                    Access::Write => "write",
                },
                request.owner,
                request.process.pid,
                clock::ms_between(since, now)
            );
        });
        !is_full(lines)
    });
    say_if_cut_off(lines, shown);
}

fn words(device: &Device, lines: &SeqFile) {
    // As in `ranges`.
    let now = clock::ticks();
    seq_print!(lines, "ipcns id name offset token pid age_ms\n");
    let shown = device.registry.for_each_segment(|namespace, segment| {
        device.words.for_each_of(segment, |waiter| {
            seq_print!(
                lines,
                "{} {} {} {} {} {} {}\n",
                namespace,
                segment.id(),
                name_of(segment),
                waiter.offset(),
                waiter.token,
                waiter.sleeper().pid(),
                clock::ms_between(waiter.since, now)
            );
            !is_full(lines)
        });
        !is_full(lines)
    });
    say_if_cut_off(lines, shown);
}

fn usage(device: &Device, lines: &SeqFile) {
    let registry = &device.registry;
    let (segments, bytes) = registry.usage().total();
    seq_print!(lines, "segments {}\nbytes {}\n", segments, bytes);
    registry.usage().for_each_user(|user, bytes| {
        seq_print!(lines, "uid {} bytes {}\n", user.global(), bytes);
    });
}
