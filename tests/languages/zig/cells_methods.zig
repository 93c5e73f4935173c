//! Numbers of 64 bits, behind the functions of the storage module.

const storage = @import("storagemod").storage;

pub fn get(number: u32) i64 {
    return storage.load_i64(8 * number);
}

pub fn set(number: u32, value: i64) void {
    storage.store_i64(8 * number, value);
}
