//! Storage behind functions, each by itself.
#![no_std]

mod storagemod {
    include!(env!("STORAGEMOD_RS"));
}
use storagemod::storage;

#[no_mangle]
pub extern "C" fn load(offset: u32) -> i64 {
    storage::load_i64(offset)
}

#[no_mangle]
pub extern "C" fn store(offset: u32, value: i64) {
    storage::store_i64(offset, value)
}

#[no_mangle]
pub extern "C" fn narrow(offset: u32) -> i64 {
    storage::load_i64_8_s(offset) + storage::load_i32_16_u(offset) as i64
}

#[no_mangle]
pub extern "C" fn size() -> u32 {
    storage::size()
}

#[no_mangle]
pub extern "C" fn grow(pages: u32) -> i32 {
    storage::grow(pages)
}

/// Swap two neighbours of 8 bytes.
#[no_mangle]
pub extern "C" fn swap(offset: u32) {
    let mut bytes = [0; 16];
    storage::copy_out(&mut bytes, offset);
    bytes.rotate_left(8);
    storage::copy_in(&bytes, offset);
}
