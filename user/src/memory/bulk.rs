// SPDX-License-Identifier: MIT OR Apache-2.0

//! Copying many bytes, some at a time, by instructions that the compiler does not look into: it has no accesses that
//! are both as wide as this and allowed to race. Where there are none written here, nothing is copied, and the caller
//! goes word by word.

use std::sync::atomic::AtomicU8;

/// How many bytes are copied at a time.
const BLOCK: usize = 64;

/// Copies the first bytes of `from` to `to`. Returns how many: whole blocks of what both have.
#[inline]
pub(crate) fn copy_out(from: &[AtomicU8], to: &mut [u8]) -> usize {
    let blocks = from.len().min(to.len()) / BLOCK;
    // SAFETY: both have so many blocks, and others may change those of `from` meanwhile: they are `AtomicU8`.
    unsafe { copy(from.as_ptr().cast(), to.as_mut_ptr(), blocks) }
}

/// Copies the first bytes of `from` to `to`. Returns how many: whole blocks of what both have.
#[inline]
pub(crate) fn copy_in(from: &[u8], to: &[AtomicU8]) -> usize {
    let blocks = from.len().min(to.len()) / BLOCK;
    // SAFETY: both have so many blocks. Those of `to` can be written through a shared reference: they are `AtomicU8`.
    unsafe { copy(from.as_ptr(), to.as_ptr().cast::<u8>().cast_mut(), blocks) }
}

/// Copies blocks, and returns how many bytes these are.
///
/// # Safety
///
/// `from` is valid for reading so many, `to` for writing. One of them may be changed by others meanwhile, or be read.
#[cfg(all(target_arch = "x86_64", target_pointer_width = "64", not(miri)))]
#[inline]
unsafe fn copy(from: *const u8, to: *mut u8, blocks: usize) -> usize {
    for offset in (0..blocks * BLOCK).step_by(BLOCK) {
        let (from, to) = (from.wrapping_add(offset), to.wrapping_add(offset));
        // SAFETY: it reads and writes one block of what the caller promised, and has no other effect. Each aligned word
        // is read and written whole: no access is cut within one.
        unsafe {
            std::arch::asm!(
                "movups {a}, [{from}]",
                "movups {b}, [{from} + 16]",
                "movups {c}, [{from} + 32]",
                "movups {d}, [{from} + 48]",
                "movups [{to}], {a}",
                "movups [{to} + 16], {b}",
                "movups [{to} + 32], {c}",
                "movups [{to} + 48], {d}",
                from = in(reg) from,
                to = in(reg) to,
                a = out(xmm_reg) _,
                b = out(xmm_reg) _,
                c = out(xmm_reg) _,
                d = out(xmm_reg) _,
                options(nostack, preserves_flags),
            );
        }
    }
    blocks * BLOCK
}

/// So, too, where there are no such instructions.
#[cfg(not(all(target_arch = "x86_64", target_pointer_width = "64", not(miri))))]
#[inline]
unsafe fn copy(_from: *const u8, _to: *mut u8, _blocks: usize) -> usize {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_blocks_are_copied_and_nothing_else() {
        let shared: Vec<AtomicU8> = (0..200_u8).map(AtomicU8::new).collect();
        for (start, len) in [(0, 200), (1, 64), (3, 129), (8, 63), (5, 0)] {
            let mut bytes = [0xee; 200];
            let copied = copy_out(&shared[start..start + len], &mut bytes);
            assert!(copied == 0 || copied == len / BLOCK * BLOCK);
            let expected = (0..200).map(|index| {
                if index < copied {
                    (start + index) as u8
                } else {
                    0xee
                }
            });
            assert!(bytes.into_iter().eq(expected), "{start} {len}");

            let target: Vec<AtomicU8> = (0..200).map(|_| AtomicU8::new(0xee)).collect();
            let copied = copy_in(&bytes[..len], &target[start..]);
            let inside = |index: usize| (start..start + copied).contains(&index);
            for (index, byte) in target.into_iter().enumerate() {
                let expected = if inside(index) { bytes[index - start] } else { 0xee };
                assert_eq!(byte.into_inner(), expected, "{start} {len} {index}");
            }
        }
    }
}
