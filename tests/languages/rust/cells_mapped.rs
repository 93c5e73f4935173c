//! Numbers of 64 bits, mapped into memory: an array like any other.

use crate::storagemod::Paged;
use core::cell::Cell;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

const ZERO: Cell<i64> = Cell::new(0);
static CELLS: Paged<[Cell<i64>; 8192]> = Paged::new([ZERO; 8192]);
static IS_MAPPED: AtomicBool = AtomicBool::new(false); // memory is fresh in every call, re-entrant calls included

fn cell(number: u32) -> &'static Cell<i64> {
    if !IS_MAPPED.load(Relaxed) {
        CELLS.map(0);
        IS_MAPPED.store(true, Relaxed);
    }
    &CELLS[number as usize]
}

pub fn get(number: u32) -> i64 {
    cell(number).get()
}

pub fn set(number: u32, value: i64) {
    cell(number).set(value)
}
