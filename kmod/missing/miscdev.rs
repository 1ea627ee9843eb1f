// SPDX-License-Identifier: GPL-2.0

//! Misc devices with all the file operations that a device like ours needs.
//!
//! `kernel::miscdevice` has no `poll`, `llseek`, `flush`, `fsync`, `splice`, nor a mode for the
//! node, and in Linux 7.2 sets no `owner`: there `rmmod` succeeds while a file is open, and the
//! next `close` jumps into freed memory.

use super::{
    ffi,
    poll::Polled,
    vma::{
        Mapped,
        NewMapping, //
    }, //
};
use core::{
    marker::PhantomData,
    ops::Deref, //
};
use kernel::{
    bindings,
    error::{
        from_result,
        to_result, //
    },
    ffi::{
        c_int,
        c_long,
        c_uint,
        c_ulong, //
    },
    fs::{
        file::Offset,
        File,
        LocalFile, //
    },
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    mm::virt::VmaNew,
    prelude::*,
    seq_file::SeqFile,
    sync::{
        aref::ARef,
        Arc,
        ArcBorrow, //
    },
    types::{
        ForeignOwnable,
        Opaque, //
    }, //
};

/// For what a file was opened.
#[derive(Clone, Copy)]
pub(crate) struct OpenMode {
    /// `read` and mappings are allowed.
    pub(crate) read: bool,
    /// `write` is allowed.
    pub(crate) write: bool,
}

impl OpenMode {
    fn of(file: &File) -> Self {
        // As OPEN_FMODE() of include/linux/fs.h.
        let bits = (file.flags() & bindings::O_ACCMODE).wrapping_add(1);
        Self {
            read: bits & 1 != 0,
            write: bits & 2 != 0,
        }
    }
}

/// Events for [`Operations::poll`].
pub(crate) mod events {
    use kernel::bindings;

    /// There is something to read.
    pub(crate) const READABLE: u32 = bindings::POLLIN | bindings::POLLRDNORM;
    /// Writing would not block.
    pub(crate) const WRITABLE: u32 = bindings::POLLOUT | bindings::POLLWRNORM;
    /// There is nothing to poll.
    pub(crate) const ERROR: u32 = bindings::POLLERR;
}

/// What an open file of the device does. Each file has a value of the implementing type.
///
/// No operation is called before `open` has returned or after `release` was called.
pub(crate) trait Operations: Sized + Send + Sync + 'static {
    /// What all files of the device share.
    type Device: Send + Sync + 'static;

    /// What files poll.
    type Polled: Polled;

    /// What mappings of files show.
    type Mapped: Mapped;

    /// The device is opened.
    fn open(device: &Self::Device, mode: OpenMode) -> Result<Arc<Self>>;

    /// A descriptor of the file is closed, in the process that had it.
    fn flush(&self);

    /// The last descriptor was closed and the last mapping is gone. Some `Arc<Self>` may live on.
    fn release(&self);

    /// The end of the file, for `lseek`.
    fn size(&self) -> Result<u64>;

    /// Reads from byte `position` on; returns how many bytes.
    fn read(&self, position: u64, to: &mut IovIterDest<'_>) -> Result<usize>;

    /// Writes from byte `position` on, or at the end if that is `None`; returns how many bytes.
    fn write(&self, position: Option<u64>, from: &mut IovIterSource<'_>) -> Result<usize>;

    /// Maps a part of the file, by [`NewMapping::map`].
    fn mmap(&self, mapping: NewMapping<'_, Self>) -> Result;

    /// What [`Operations::mmap`] maps: the same from the first time on.
    fn mapped(&self) -> Option<&Self::Mapped>;

    /// An ioctl, from 64-bit or 32-bit processes. Returns what the call returns, at least 0.
    fn ioctl(
        this: ArcBorrow<'_, Self>,
        siblings: &Siblings<Self>,
        command: u32,
        argument: usize,
    ) -> Result<c_int>;

    /// What this file polls. It is borrowed for as long as the file is open.
    fn polled(&self) -> Result<&Self::Polled>;

    /// Which [`events`] there are now.
    fn poll(&self) -> u32;

    /// Lines for `/proc/PID/fdinfo`.
    fn show_fdinfo(&self, lines: &SeqFile);
}

/// A registered device.
///
/// # Invariants
///
/// `misc` is registered, with the operations of `Vtable<T>`.
#[repr(C)]
#[pin_data(PinnedDrop)]
pub(crate) struct Registration<T: Operations> {
    #[pin]
    misc: Opaque<bindings::miscdevice>,
    device: T::Device,
}

// SAFETY: A misc device may be deregistered by another thread than registered it, and `T::Device`
// is `Send`.
unsafe impl<T: Operations> Send for Registration<T> {}
// SAFETY: A shared reference gives access to `device` alone, which is `Sync`.
unsafe impl<T: Operations> Sync for Registration<T> {}

impl<T: Operations> Registration<T> {
    /// Registers a device whose node has that name and those permission bits. From then on files
    /// may be opened.
    pub(crate) fn register(
        name: &'static CStr,
        mode: u16,
        device: T::Device,
    ) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            device,
            // INVARIANT: On success, it is registered.
            misc <- Opaque::try_ffi_init(move |slot: *mut bindings::miscdevice| {
                let misc = bindings::miscdevice {
                    // CAST: It is 255.
                    minor: bindings::MISC_DYNAMIC_MINOR as c_int,
                    name: name.as_char_ptr(),
                    fops: Vtable::<T>::build(),
                    mode,
                    ..pin_init::zeroed()
                };
                // SAFETY: `slot` is valid for writing, and pinned until `drop` deregisters it.
                // `device` is initialised already, so that files may be opened.
                unsafe {
                    slot.write(misc);
                    to_result(bindings::misc_register(slot))
                }
            }),
        }? Error)
    }
}

#[pinned_drop]
impl<T: Operations> PinnedDrop for Registration<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: It is registered by the type invariant.
        unsafe { bindings::misc_deregister(self.misc.get()) }
    }
}

/// Finds other open files of the device.
///
/// # Invariants
///
/// Files with these operations were opened by `Vtable<T>::open`.
pub(crate) struct Siblings<T>(*const bindings::file_operations, PhantomData<T>);

impl<T: Operations> Siblings<T> {
    /// The one of that descriptor of the current task. Fails with `EBADF` if it is not open, and with
    /// `EINVAL` if it is something else.
    pub(crate) fn find(&self, fd: u32) -> Result<Sibling<T>> {
        let file = LocalFile::fget(fd)?;
        // SAFETY: The file is valid while there is a reference.
        if unsafe { (*file.as_ptr()).f_op } != self.0 {
            return Err(EINVAL);
        }
        // INVARIANT: By the type invariant.
        Ok(Sibling(file, PhantomData))
    }
}

/// An open file of the device, which stays open.
///
/// # Invariants
///
/// The file was opened by `Vtable<T>::open`.
pub(crate) struct Sibling<T>(ARef<LocalFile>, PhantomData<T>);

impl<T: Operations> Deref for Sibling<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: By the type invariant; while there is a reference, the file is not released.
        let operations = unsafe { operations_of::<T>(self.0.as_ptr()) };
        // SAFETY: So the value lives, too, for as long as `self`.
        unsafe { &*core::ptr::from_ref::<T>(&operations) }
    }
}

/// The value that belongs to a file.
///
/// # Safety
///
/// `file` must be a file that `Vtable<T>::open` opened, and not be released for `'a`.
pub(super) unsafe fn operations_of<'a, T: Operations>(
    file: *const bindings::file,
) -> ArcBorrow<'a, T> {
    // SAFETY: `open` set the private data to the reference, which `release` takes back.
    unsafe { Arc::borrow((*file).private_data) }
}

struct Vtable<T>(PhantomData<T>);

impl<T: Operations> Vtable<T> {
    const OPERATIONS: bindings::file_operations = bindings::file_operations {
        owner: &raw mut ffi::__this_module,
        open: Some(Self::open),
        flush: Some(Self::flush),
        release: Some(Self::release),
        llseek: Some(Self::llseek),
        read_iter: Some(Self::read_iter),
        write_iter: Some(Self::write_iter),
        splice_read: Some(bindings::copy_splice_read),
        splice_write: Some(bindings::iter_file_splice_write),
        get_unmapped_area: Some(ffi::shmdev_get_unmapped_area),
        mmap: Some(Self::mmap),
        // `msync` fails on a mapping of a file without it.
        fsync: Some(bindings::noop_fsync),
        poll: Some(Self::poll),
        unlocked_ioctl: Some(Self::ioctl),
        // The structures of an ABI for `Operations::ioctl` are the same for both.
        #[cfg(CONFIG_COMPAT)]
        compat_ioctl: bindings::compat_ptr_ioctl,
        show_fdinfo: Some(Self::show_fdinfo),
        ..pin_init::zeroed()
    };

    const fn build() -> &'static bindings::file_operations {
        &Self::OPERATIONS
    }

    /// # Safety
    ///
    /// `file` must be a file that is being opened by `misc_open`.
    unsafe extern "C" fn open(_inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        from_result(|| {
            // SAFETY: `misc_open` set the private data to the device, which cannot go meanwhile. It
            // is the first field of a `Registration<T>`, by the type invariant of that.
            let registration = unsafe { &*(*file).private_data.cast::<Registration<T>>() };
            // SAFETY: The file is valid, and nobody else knows it yet.
            let mode = OpenMode::of(unsafe { File::from_raw_file(file) });
            let operations = T::open(&registration.device, mode)?;
            // SAFETY: The file is ours to set up.
            unsafe { (*file).private_data = operations.into_foreign() };
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// `file` must be open.
    unsafe extern "C" fn flush(file: *mut bindings::file, _id: bindings::fl_owner_t) -> c_int {
        // SAFETY: The file is open.
        unsafe { operations_of::<T>(file) }.flush();
        0
    }

    /// # Safety
    ///
    /// `file` must be on its way to be freed.
    unsafe extern "C" fn release(_inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: No other operation runs or will run on the file, so the reference may be taken back.
        let operations: Arc<T> = unsafe { Arc::from_foreign((*file).private_data) };
        operations.release();
        0
    }

    /// # Safety
    ///
    /// `file` must be open.
    unsafe extern "C" fn llseek(
        file: *mut bindings::file,
        offset: Offset,
        whence: c_int,
    ) -> Offset {
        // SAFETY: The file is open.
        let size = unsafe { operations_of::<T>(file) }.size();
        match size.and_then(|size| Ok(Offset::try_from(size)?)) {
            // SAFETY: The file is open.
            Ok(size) => unsafe {
                bindings::generic_file_llseek_size(file, offset, whence, size, size)
            },
            Err(error) => error.to_errno().into(),
        }
    }

    /// # Safety
    ///
    /// `kiocb` must belong to an open file, and `iter` be valid for reading into.
    unsafe extern "C" fn read_iter(
        kiocb: *mut bindings::kiocb,
        iter: *mut bindings::iov_iter,
    ) -> isize {
        // SAFETY: The kiocb is valid and ours for the call, and its file is open.
        let (operations, position) =
            unsafe { (operations_of::<T>((*kiocb).ki_filp), &mut (*kiocb).ki_pos) };
        // SAFETY: The iterator is valid, and its direction is that of a read.
        let to = unsafe { IovIterDest::from_raw(iter) };
        Self::advance(position, |at| operations.read(at, to))
    }

    /// # Safety
    ///
    /// `kiocb` must belong to an open file, and `iter` be valid for writing from.
    unsafe extern "C" fn write_iter(
        kiocb: *mut bindings::kiocb,
        iter: *mut bindings::iov_iter,
    ) -> isize {
        // SAFETY: The kiocb is valid.
        let append = unsafe { ffi::shmdev_iocb_append(kiocb) };
        // SAFETY: The kiocb is valid and ours for the call, and its file is open.
        let (operations, position) =
            unsafe { (operations_of::<T>((*kiocb).ki_filp), &mut (*kiocb).ki_pos) };
        // SAFETY: The iterator is valid, and its direction is that of a write.
        let from = unsafe { IovIterSource::from_raw(iter) };
        Self::advance(position, |at| {
            operations.write((!append).then_some(at), from)
        })
    }

    /// Transfers bytes at a position and moves it by how many there were.
    fn advance(position: &mut Offset, transfer: impl FnOnce(u64) -> Result<usize>) -> isize {
        let result = u64::try_from(*position)
            .map_err(|_| EINVAL)
            .and_then(transfer);
        match result {
            Ok(count) => {
                // CAST: The kernel transfers at most MAX_RW_COUNT bytes, less than 2 GiB, in a
                // call.
                *position = position.saturating_add(count as Offset);
                count as isize
            }
            // CAST: An errno is small.
            Err(error) => error.to_errno() as isize,
        }
    }

    /// # Safety
    ///
    /// `file` must be open, and `vma` be one that is being set up for it.
    unsafe extern "C" fn mmap(
        file: *mut bindings::file,
        vma: *mut bindings::vm_area_struct,
    ) -> c_int {
        // SAFETY: The vma is being set up, so nobody changes this.
        if unsafe { (*vma).vm_file } != file {
            // Who maps it on behalf of another file.
            return EINVAL.to_errno();
        }
        // SAFETY: The vma is being set up.
        let vma = unsafe { VmaNew::from_raw(vma) };
        // SAFETY: The file is open, and the vma is one of it.
        let (operations, mapping) = unsafe { (operations_of::<T>(file), NewMapping::new(vma)) };
        from_result(|| operations.mmap(mapping).map(|()| 0))
    }

    /// # Safety
    ///
    /// `file` must be open.
    unsafe extern "C" fn ioctl(
        file: *mut bindings::file,
        command: c_uint,
        argument: c_ulong,
    ) -> c_long {
        // SAFETY: The file is open.
        let operations = unsafe { operations_of::<T>(file) };
        // SAFETY: The file is open.
        let table = unsafe { (*file).f_op };
        // INVARIANT: The file was opened by `open`.
        let siblings = Siblings(table, PhantomData);
        // CAST: Every `int` is a `long`.
        from_result(|| {
            T::ioctl(operations, &siblings, command, argument).map(|value| value as c_long)
        })
    }

    /// # Safety
    ///
    /// `file` must be open, and `table` be what `poll` was called with.
    unsafe extern "C" fn poll(
        file: *mut bindings::file,
        table: *mut bindings::poll_table_struct,
    ) -> bindings::__poll_t {
        // SAFETY: The file is open.
        let operations = unsafe { operations_of::<T>(file) };
        // SAFETY: The file is open until it is released, and until then the value lives.
        let for_the_file = unsafe { &*core::ptr::from_ref::<T>(&operations) };
        let Ok(polled) = for_the_file.polled() else {
            return events::ERROR;
        };
        // SAFETY: The pointers are those of this call. The queue was borrowed for as long as the
        // file is open.
        unsafe { polled.poll_queue().register(file, table) };
        operations.poll()
    }

    /// # Safety
    ///
    /// `file` must be open, and `lines` be valid and used by nobody else.
    unsafe extern "C" fn show_fdinfo(lines: *mut bindings::seq_file, file: *mut bindings::file) {
        // SAFETY: By the caller's promise.
        let (operations, lines) = unsafe { (operations_of::<T>(file), SeqFile::from_raw(lines)) };
        operations.show_fdinfo(lines);
    }
}
