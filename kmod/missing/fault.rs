// SPDX-License-Identifier: GPL-2.0

//! Filling page tables when a page is touched that they do not have yet: with what was touched, and
//! some of its neighbours, which will be next.

use super::{
    ffi,
    pages::{
        MapMode,
        Pages,
        LARGE_ORDER,
        LARGE_PAGES, //
    }, //
};
use kernel::{
    bindings::{
        self,
        vm_fault_reason_VM_FAULT_FALLBACK as FALLBACK,
        vm_fault_reason_VM_FAULT_NOPAGE as NO_PAGE,
        vm_fault_reason_VM_FAULT_OOM as NO_MEMORY,
        vm_fault_reason_VM_FAULT_SIGBUS as BUS_ERROR,
        vm_fault_t, //
    },
    error::to_result,
    mm::virt::VmaRef,
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::ArcBorrow, //
};

/// How many pages are mapped at a time, as the kernel does with files. They lie at a multiple of
/// their size, so in one page table.
const AROUND: usize = 16;

/// A page that was touched.
///
/// # Invariants
///
/// `vmf` is that of a fault which is being handled, in a mapping that lies within `pages`, and has
/// `VM_MIXEDMAP` if their mode is [`MapMode::Fault`], `VM_PFNMAP` and no copy-on-write else.
pub(super) struct Fault<'a> {
    vmf: *mut bindings::vm_fault,
    pages: ArcBorrow<'a, Pages>,
}

/// Some pages of a mapping.
struct Span {
    /// Where the first is to be mapped.
    address: usize,
    /// Index of the first among all pages.
    first: usize,
    count: usize,
}

impl<'a> Fault<'a> {
    /// # Safety
    ///
    /// They must be as the type invariants say, for `'a`.
    pub(super) unsafe fn new(vmf: *mut bindings::vm_fault, pages: ArcBorrow<'a, Pages>) -> Self {
        // INVARIANT: By the caller's promise.
        Self { vmf, pages }
    }

    fn vma(&self) -> &VmaRef {
        // SAFETY: By the type invariants; the mapping of a fault is locked.
        unsafe { VmaRef::from_raw((*self.vmf).__bindgen_anon_1.vma) }
    }

    /// Where it is, at the start of a page.
    fn address(&self) -> usize {
        // SAFETY: By the type invariants.
        unsafe { (*self.vmf).__bindgen_anon_1.address & !(PAGE_SIZE - 1) }
    }

    /// Index of the page that was touched, or of one at another address of the mapping.
    fn index_at(&self, address: usize) -> usize {
        // SAFETY: By the type invariants.
        let touched = unsafe { (*self.vmf).__bindgen_anon_1.pgoff };
        let (here, there) = (self.address() >> PAGE_SHIFT, address >> PAGE_SHIFT);
        // Nothing wraps around in the end: the mapping lies within the pages.
        touched.wrapping_add(there).wrapping_sub(here)
    }

    fn span(&self, address: usize, end: usize) -> Span {
        Span {
            address,
            first: self.index_at(address),
            count: end.saturating_sub(address) >> PAGE_SHIFT,
        }
    }

    /// What to map: from what was touched on, then what is before that.
    fn around(&self) -> [Span; 2] {
        let (vma, touched) = (self.vma(), self.address());
        let around = AROUND << PAGE_SHIFT;
        let start = touched & !(around - 1);
        let end = start.saturating_add(around).min(vma.end());
        [
            self.span(touched, end),
            self.span(start.max(vma.start()), touched),
        ]
    }

    /// Maps what was touched, and neighbours; or gives the page to be copied, for a write to a
    /// private mapping.
    pub(super) fn insert(self) -> vm_fault_t {
        if self.pages.mode() != MapMode::Fault {
            // One place has entries of one kind, whoever is told to have large pages or none: two
            // faults at once might be told one and the other (`PR_SET_THP_DISABLE`).
            return match self.insert_large(LARGE_ORDER) {
                FALLBACK => self.insert_frames(),
                done => done,
            };
        }
        // SAFETY: By the type invariants.
        if unsafe { !(*self.vmf).cow_page.is_null() } {
            return self.give();
        }
        let [here, before] = self.around();
        match self.insert_pages(&here) {
            Ok(()) => {
                // Nobody waits for these.
                let _ = self.insert_pages(&before);
                NO_PAGE
            }
            // Somebody else was faster; or the page table went while it was waited for, emptied by
            // `madvise`, and the next try makes another.
            Err(EBUSY | EFAULT) => NO_PAGE,
            Err(ENOMEM) => NO_MEMORY,
            Err(_) => BUS_ERROR,
        }
    }

    /// Gives the page, which is going to be copied.
    fn give(self) -> vm_fault_t {
        let Some(page) = self.pages.page(self.index_at(self.address())) else {
            return BUS_ERROR;
        };
        // SAFETY: The page is valid, and has references of its own in this mode.
        unsafe { ffi::shmdev_get_pages(page, 1) };
        // SAFETY: By the type invariants; the reference is the fault's from here on.
        unsafe { (*self.vmf).page = page };
        0
    }

    /// Maps pages with a reference for each, up to the first that is mapped already. Fails if that
    /// is the first of all.
    fn insert_pages(&self, span: &Span) -> Result {
        let mut list = [core::ptr::null_mut(); AROUND];
        let pages = (span.first..).map_while(|index| self.pages.page(index));
        let mut count = 0_usize;
        for (slot, page) in list.iter_mut().zip(pages.take(span.count)) {
            *slot = page;
            count = count.saturating_add(1);
        }
        if count == 0 {
            return Err(EINVAL);
        }
        let (vma, mut left) = (self.vma().as_ptr(), count);
        // SAFETY: By the type invariants the mapping may have such pages, of which there are so many
        // in the list. It holds the span, as `around` saw to.
        let inserted = to_result(unsafe {
            bindings::vm_insert_pages(vma, span.address, list.as_mut_ptr(), &mut left)
        });
        if left < count {
            return Ok(());
        }
        inserted
    }

    /// Maps pages by number.
    fn insert_frames(self) -> vm_fault_t {
        let mut first = None;
        for span in self.around() {
            let mut address = span.address;
            for (frame, count) in self.pages.runs(span.first, span.count) {
                for frame in (frame..).take(count) {
                    // SAFETY: By the type invariants the mapping may have such entries, and holds the
                    // span. It keeps the page of that number.
                    let status =
                        unsafe { bindings::vmf_insert_pfn(self.vma().as_ptr(), address, frame) };
                    // What was touched comes first; nobody waits for the others.
                    let first = *first.get_or_insert(status);
                    if status != NO_PAGE {
                        return first;
                    }
                    address = address.wrapping_add(PAGE_SIZE);
                }
            }
        }
        first.unwrap_or(BUS_ERROR)
    }

    /// Maps what was touched by one entry of a PMD, if it lies so and no page table is there. Else asks
    /// for [`Self::insert`].
    pub(super) fn insert_large(&self, order: u32) -> vm_fault_t {
        let start = self.address() >> PAGE_SHIFT & !(LARGE_PAGES - 1);
        let end = start.saturating_add(LARGE_PAGES) << PAGE_SHIFT;
        let start = start << PAGE_SHIFT;
        let fits = order == LARGE_ORDER && self.vma().start() <= start && end <= self.vma().end();
        let frame = fits
            .then(|| self.pages.large_frame(self.index_at(start)))
            .flatten();
        let Some(frame) = frame else {
            return FALLBACK;
        };
        // SAFETY: By the type invariants the mapping may have such an entry, and holds it. It keeps the
        // pages from that number on. Pages have that mode only if it is not copied on write.
        unsafe {
            let write = (*self.vmf).flags & bindings::fault_flag_FAULT_FLAG_WRITE != 0;
            ffi::shmdev_insert_pfn_pmd(self.vmf, frame, write)
        }
    }
}
