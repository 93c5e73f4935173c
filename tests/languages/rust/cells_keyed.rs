//! Numbers of 64 bits in 32-byte values by 32-byte keys. Each value holds four, as linear storage has them.

use crate::storagemod::{ethereum, Bytes32};
use core::ops::Range;

fn key_of(number: u32) -> Bytes32 {
    let mut key = [0; 32];
    key[28..].copy_from_slice(&(number / 4).to_be_bytes());
    key
}

fn bytes_of(number: u32) -> Range<usize> {
    let start = 8 * (number as usize % 4);
    start..start + 8
}

pub fn get(number: u32) -> i64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&ethereum::storageLoad(&key_of(number))[bytes_of(number)]);
    i64::from_le_bytes(bytes)
}

pub fn set(number: u32, value: i64) {
    let key = key_of(number);
    let mut cells = ethereum::storageLoad(&key);
    cells[bytes_of(number)].copy_from_slice(&value.to_le_bytes());
    ethereum::storageStore(&key, &cells)
}
