//! The bank of wat/bank/bank_fixed.wat, in Rust: it writes its books first and pays out afterwards. The file that uses it
//! chooses how cells are stored.

use crate::cells::{get, set};
use crate::storagemod::{ethereum, OK};

#[link(wasm_import_module = "contract:customer")]
extern "C" {
    #[link_name = "receive?"]
    fn receive(amount: i64) -> i32;
}

const TOTAL: u32 = 0;
const BALANCES: u32 = 8;
const CUSTOMERS_MAX: u32 = 8184;

fn require(condition: bool) {
    if !condition {
        ethereum::revert(&[])
    }
}

#[no_mangle]
pub extern "C" fn total() -> i64 {
    get(TOTAL)
}

#[no_mangle]
pub extern "C" fn balance(who: u32) -> i64 {
    require(who < CUSTOMERS_MAX);
    get(BALANCES + who)
}

#[no_mangle]
pub extern "C" fn deposit(who: u32, amount: i64) {
    require(amount >= 0);
    let (sum, overflows) = total().overflowing_add(amount);
    require(!overflows);
    let balance = balance(who);
    set(BALANCES + who, balance + amount);
    set(TOTAL, sum);
}

#[no_mangle]
pub extern "C" fn withdraw(who: u32) {
    let amount = balance(who);
    if amount == 0 {
        return;
    }
    // The books first: from here on a re-entrant call finds nothing left to withdraw.
    set(BALANCES + who, 0);
    set(TOTAL, total() - amount);
    // A payment that is not taken undoes the books with it.
    require(unsafe { receive(amount) } == OK);
}
