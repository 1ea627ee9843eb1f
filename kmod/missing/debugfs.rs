// SPDX-License-Identifier: GPL-2.0

//! Files in debugfs that show a text.
//!
//! Those of `kernel::debugfs` have no owner: `rmmod` succeeds while one is open, and the next
//! `close` jumps into freed memory.

use super::ffi;
use kernel::{
    bindings,
    ffi::c_void,
    prelude::*,
    seq_file::SeqFile,
    sync::Arc, //
};

/// Writes the text of a file. May be called several times for one look at the file; may sleep.
pub(crate) type Write<T> = fn(&T, &SeqFile);

/// Whether more was written than there is room for: then the rest is not looked at, and the whole
/// is written again with more room.
pub(crate) fn is_full(lines: &SeqFile) -> bool {
    let lines: *const SeqFile = lines;
    // SAFETY: A `SeqFile` is laid out as a `struct seq_file`, and valid by its type.
    unsafe { ffi::shmdev_seq_is_full(lines.cast::<bindings::seq_file>()) }
}

/// Has texts to show.
pub(crate) trait Shows: Sized + Send + Sync + 'static {
    /// Names of the files, and what writes the text of each.
    const FILES: &'static [(&'static CStr, Write<Self>)];
}

/// A file.
///
/// # Invariants
///
/// Laid out as `struct shmdev_text`. `data` points to a `T` that lives until the file is gone, and
/// `show` is [`Text::show`] for that type.
#[repr(C)]
struct Text<T> {
    show: unsafe extern "C" fn(*const Text<T>, *mut bindings::seq_file),
    data: *const T,
    write: Write<T>,
}

impl<T: Shows> Text<T> {
    /// # Safety
    ///
    /// `this` and `lines` must be valid, and `lines` used by nobody else.
    unsafe extern "C" fn show(this: *const Self, lines: *mut bindings::seq_file) {
        // SAFETY: By the caller's promise; the data lives by the type invariant.
        let (this, lines) = unsafe { (&*this, SeqFile::from_raw(lines)) };
        // SAFETY: The data lives by the type invariant.
        (this.write)(unsafe { &*this.data }, lines);
    }
}

/// A directory of such files, until dropped. Nothing is said of a failure to make it: nobody
/// depends on debugfs.
///
/// # Invariants
///
/// `directory` is null, or what debugfs returned for it. The files in it point to `texts`, whose
/// `data` is `_data`.
pub(crate) struct Directory<T: Shows> {
    directory: *mut bindings::dentry,
    texts: KVec<Text<T>>,
    _data: Arc<T>,
}

// SAFETY: The directory may be removed by any thread, and `T` is `Send` and `Sync`.
unsafe impl<T: Shows> Send for Directory<T> {}
// SAFETY: There is nothing to do with a shared reference.
unsafe impl<T: Shows> Sync for Directory<T> {}

impl<T: Shows> Directory<T> {
    /// Allocates what it needs; it is not there yet. Fails with `ENOMEM`.
    pub(crate) fn prepare(data: Arc<T>) -> Result<Self> {
        let mut texts = KVec::with_capacity(T::FILES.len(), GFP_KERNEL)?;
        for &(_, write) in T::FILES {
            // INVARIANT: The data lives in `_data`, which goes after the files.
            let text = Text {
                show: Text::<T>::show,
                data: Arc::as_ptr(&data),
                write,
            };
            texts.push_within_capacity(text).map_err(|_| ENOMEM)?;
        }
        // INVARIANT: There is no directory yet.
        Ok(Self {
            directory: core::ptr::null_mut(),
            texts,
            _data: data,
        })
    }

    /// Makes it. While one of its files is open the module cannot be unloaded, so nothing may fail
    /// after this that would make loading the module fail.
    pub(crate) fn show(mut self, name: &'static CStr) -> Self {
        // SAFETY: The name is a string that lives for ever. A null parent is debugfs' root.
        let directory =
            unsafe { bindings::debugfs_create_dir(name.as_char_ptr(), core::ptr::null_mut()) };
        // INVARIANT: That is what debugfs returned.
        self.directory = directory;
        for (&(name, _), text) in T::FILES.iter().zip(self.texts.iter()) {
            let text: *const Text<T> = text;
            // SAFETY: `directory` is what debugfs returned, an error included. The text is laid
            // out as C wants it, and lives, in the vector that is not changed any more, until the
            // files are removed.
            unsafe {
                ffi::shmdev_debugfs_file(name.as_char_ptr(), directory, text.cast::<c_void>());
            }
        }
        self
    }
}

impl<T: Shows> Drop for Directory<T> {
    fn drop(&mut self) {
        // SAFETY: It is null or what debugfs returned. When this returns, nobody looks at the files any
        // more.
        unsafe { bindings::debugfs_remove(self.directory) }
    }
}
