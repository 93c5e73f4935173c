//! The vault of vault.c, in Rust: `main` and `memory` only, selectors, words of 32 bytes, keys and values.
//!
//! The fault: it pays before it writes. The twin in the tests swaps the lines that are marked.
#![no_std]

mod storagemod {
    include!(env!("STORAGEMOD_RS"));
}
use storagemod::{ethereum, Address, Bytes32, OK};

const TOTAL: Bytes32 = [0; 32];

fn require(condition: bool) {
    if !condition {
        ethereum::revert(&[])
    }
}

fn amount_of(from: &Bytes32) -> u128 {
    let mut half = [0; 16];
    half.copy_from_slice(&from[16..]);
    u128::from_be_bytes(half)
}

fn word_of(from: u128) -> Bytes32 {
    let mut word = [0; 32];
    word[16..].copy_from_slice(&from.to_be_bytes());
    word
}

fn get(key: &Bytes32) -> u128 {
    amount_of(&ethereum::storageLoad(key))
}

fn set(key: &Bytes32, to: u128) {
    ethereum::storageStore(key, &word_of(to))
}

fn argument() -> Bytes32 {
    require(ethereum::getCallDataSize() == 36);
    let mut word = [0; 32];
    ethereum::callDataCopy(&mut word, 4);
    word
}

fn pay(to: &Address, what: u128) {
    require(ethereum::call(i64::MAX, to, what, &[]) == OK)
}

fn withdraw(to: &Address, owner: &Bytes32, what: u128) {
    let has = get(owner);
    require(what > 0 && what <= has);
    pay(to, what); // pay
    set(owner, has.wrapping_sub(what)); // write
    set(&TOTAL, get(&TOTAL).wrapping_sub(what));
}

#[no_mangle]
pub extern "C" fn main() {
    let caller = ethereum::getCaller();
    let mut owner = [0; 32];
    owner[12..].copy_from_slice(&caller);
    let value = ethereum::getCallValue();
    require(ethereum::getCallDataSize() >= 4);
    let mut selector = [0; 4];
    ethereum::callDataCopy(&mut selector, 0);
    require(value == 0 || u32::from_be_bytes(selector) == 0xd0e30db0);
    match u32::from_be_bytes(selector) {
        0xd0e30db0 => {
            set(&owner, get(&owner).wrapping_add(value));
            set(&TOTAL, get(&TOTAL).wrapping_add(value))
        }
        0x2e1a7d4d => {
            let given = argument();
            require(given[..16] == [0; 16]);
            withdraw(&caller, &owner, amount_of(&given))
        }
        0x18160ddd => ethereum::finish(&word_of(get(&TOTAL))),
        0x70a08231 => ethereum::finish(&word_of(get(&argument()))),
        _ => ethereum::revert(&[]),
    }
}
