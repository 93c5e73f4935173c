//! Counts in a page of storage, which it maps and unmaps again.
#![no_std]

mod storagemod {
    include!(env!("STORAGEMOD_RS"));
}
use core::cell::Cell;
use storagemod::{ethereum, Paged};

static PAGE: Paged<Cell<i64>> = Paged::new(Cell::new(0));

/// The count in thousands, and what is seen of it once it is unmapped.
#[no_mangle]
pub extern "C" fn count() -> i64 {
    PAGE.map(4096);
    let counted = PAGE.get() + 1;
    PAGE.set(counted);
    PAGE.unmap();
    1000 * counted + PAGE.get()
}

#[no_mangle]
pub extern "C" fn size() -> u64 {
    ethereum::storageSize()
}
