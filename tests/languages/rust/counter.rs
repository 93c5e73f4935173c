//! The counter of wat/counter/counter.wat, in Rust. The file that uses it chooses how cells are stored.

use crate::cells;

const COUNT: u32 = 0;

#[no_mangle]
pub extern "C" fn get() -> i64 {
    cells::get(COUNT)
}

#[no_mangle]
pub extern "C" fn add(n: i64) -> i64 {
    cells::set(COUNT, get().wrapping_add(n));
    get()
}

#[no_mangle]
pub extern "C" fn increment() -> i64 {
    add(1)
}
