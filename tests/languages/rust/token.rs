//! The token of wat/token/token.wat, in Rust: it calls the exchange when it receives tokens, and the exchange calls back.
//! The file that uses it chooses how cells are stored.

use crate::cells::{get, set};
use crate::storagemod::{ethereum, OK};

#[link(wasm_import_module = "contract:exchange")]
extern "C" {
    #[link_name = "on_received?"]
    fn on_received(from: u32, amount: i64) -> i32;
}

const SUPPLY: u32 = 0;
const BALANCES: u32 = 8;
const ACCOUNTS_MAX: u32 = 8184;
const EXCHANGE: u32 = 0;

fn require(condition: bool) {
    if !condition {
        ethereum::revert(&[])
    }
}

/// Add to a balance, or take from it where the amount is negative.
fn change_balance(account: u32, amount: i64) {
    let balance = balance_of(account);
    set(BALANCES + account, balance + amount);
}

#[no_mangle]
pub extern "C" fn supply() -> i64 {
    get(SUPPLY)
}

#[no_mangle]
pub extern "C" fn balance_of(account: u32) -> i64 {
    require(account < ACCOUNTS_MAX);
    get(BALANCES + account)
}

#[no_mangle]
pub extern "C" fn mint(to: u32, amount: i64) {
    require(amount >= 0);
    let (sum, overflows) = supply().overflowing_add(amount);
    require(!overflows);
    change_balance(to, amount);
    set(SUPPLY, sum);
}

#[no_mangle]
pub extern "C" fn transfer(from: u32, to: u32, amount: i64) -> i64 {
    require(amount >= 0);
    require(balance_of(from) >= amount);
    change_balance(from, -amount);
    change_balance(to, amount);
    // The books are in order, so others may be called, and may call back.
    if to == EXCHANGE && from != EXCHANGE {
        require(unsafe { on_received(from, amount) } == OK);
    }
    // Read only now: the exchange may have sent change.
    balance_of(from)
}
