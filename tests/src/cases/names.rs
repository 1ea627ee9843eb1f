// SPDX-License-Identifier: MIT OR Apache-2.0

//! Names of segments: which there are, and that nothing else gets in, whatever call it comes by.

use super::open_by;
use crate::harness::tests;
use crate::sys::segments::{name, remove};
use crate::sys::{BY_NAME, Create, Errno, Handle, NAME_SIZE, Result, Target, by_name, creation, usage};

tests![
    every_allowed_byte_makes_a_name,
    every_other_byte_is_einval,
    names_of_one_and_of_63_bytes_are_names,
    a_name_of_64_bytes_is_enametoolong,
    what_is_not_followed_by_zeros_is_einval,
    dots_alone_are_einval,
    names_that_mean_something_elsewhere_are_einval,
    an_empty_name_is_einval_except_for_create,
    names_differ_by_every_byte,
];

fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-".contains(&byte)
}

/// Gives the field to every call that takes a name; what each said.
fn everywhere(field: [u8; NAME_SIZE]) -> impl Iterator<Item = (&'static str, Result<()>)> {
    let create = Create {
        name: field,
        ..creation("", 100)
    };
    let target = Target {
        name: field,
        by: BY_NAME,
        ..Target::default()
    };
    let created = Handle::rw().create(create).map(drop);
    std::iter::once(("CREATE", created)).chain(open_by::everywhere(target))
}

/// Every call refuses the field with this errno.
#[track_caller]
fn refused_everywhere(field: [u8; NAME_SIZE], errno: Errno) {
    for (call, outcome) in everywhere(field) {
        assert_eq!(
            outcome,
            Err(errno),
            "{call} of {:?}",
            field.escape_ascii().to_string()
        );
    }
    assert_eq!(usage(), (0, 0));
}

/// Every call takes the field, REMOVE last.
#[track_caller]
fn taken_everywhere(field: [u8; NAME_SIZE]) {
    for (call, outcome) in everywhere(field) {
        assert_eq!(
            outcome,
            Ok(()),
            "{call} of {:?}",
            field.escape_ascii().to_string()
        );
    }
    assert_eq!(usage(), (0, 0));
}

fn every_allowed_byte_makes_a_name() {
    for byte in (0..=255).filter(|&byte| is_allowed(byte)) {
        taken_everywhere(name([b'a', byte]));
        if byte != b'.' {
            taken_everywhere(name([byte]));
        }
    }
}

fn every_other_byte_is_einval() {
    for byte in (1..=255).filter(|&byte| !is_allowed(byte)) {
        for text in [&[byte][..], &[b'a', byte, b'a']] {
            refused_everywhere(name(text), Errno::EINVAL);
        }
    }
}

fn names_of_one_and_of_63_bytes_are_names() {
    for len in [1, 2, 7, 8, 9, 31, 32, 62, 63] {
        taken_everywhere(name("n".repeat(len)));
        taken_everywhere(name("-".repeat(len)));
    }
}

fn a_name_of_64_bytes_is_enametoolong() {
    refused_everywhere([b'n'; NAME_SIZE], Errno::ENAMETOOLONG);
}

fn what_is_not_followed_by_zeros_is_einval() {
    for place in [2, 5, 32, 62, 63] {
        for byte in [b'a', b'.', 1, 0xff] {
            let mut field = name("n");
            field[place] = byte;
            refused_everywhere(field, Errno::EINVAL);
            // A name that begins with its end.
            let mut field = name("");
            field[place] = byte;
            refused_everywhere(field, Errno::EINVAL);
        }
    }
}

fn dots_alone_are_einval() {
    refused_everywhere(name("."), Errno::EINVAL);
    refused_everywhere(name(".."), Errno::EINVAL);
    for text in ["...", "a.", ".a", "..a", "a.b", ".-", "._"] {
        taken_everywhere(name(text));
    }
}

fn names_that_mean_something_elsewhere_are_einval() {
    for text in [
        "/frames",
        "a/b",
        "../frames",
        "frames/",
        "%s%s%n",
        "two words",
        " ",
        "line\n",
        "\n",
        "\r",
        "tab\tbed",
        "\x1b[2J",
        "\x7f",
        "\u{e4}",
        "\u{65e5}\u{672c}",
        "quote\"",
        "a;b",
        "$(id)",
        "*",
        "a\\b",
        "name=value",
        "a:b",
    ] {
        refused_everywhere(name(text), Errno::EINVAL);
    }
    for bytes in [&b"\xff\xfe"[..], b"a\xc3", b"\xc0\xaf", b"\x80"] {
        refused_everywhere(name(bytes), Errno::EINVAL);
    }
}

fn an_empty_name_is_einval_except_for_create() {
    for (call, outcome) in everywhere(name("")) {
        let expected = if call == "CREATE" {
            Ok(())
        } else {
            Err(Errno::EINVAL)
        };
        assert_eq!(outcome, expected, "{call}");
    }
}

fn names_differ_by_every_byte() {
    let (long, longer) = ("n".repeat(62), "n".repeat(63));
    let last = format!("{long}m");
    let names = ["n", "N", "nn", "n.", "n-", "n_", "0n", &long, &longer, &last];
    for (index, text) in (1..).zip(names) {
        Handle::creating(text, 8).pwrite(&[index], 0).unwrap();
    }
    for (index, text) in (1..).zip(names) {
        let mut byte = [0];
        Handle::of(text).pread(&mut byte, 0).unwrap();
        assert_eq!(byte, [index], "{text}");
        assert_eq!(
            Handle::rw().stat_of(by_name(text)).unwrap().target.name,
            name(text)
        );
    }
    names.into_iter().for_each(remove);
}
