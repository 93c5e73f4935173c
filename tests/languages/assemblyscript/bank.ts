// The bank of wat/bank/bank_fixed.wat, in AssemblyScript: it writes its books first and pays out afterwards. The file that
// uses it chooses how cells are stored: C is a class of cells, whose methods need no object.

import { ethereum, OK } from "storagemod";

// @ts-ignore: decorator
@external("contract:customer", "receive?")
declare function receive(amount: i64): i32;

const TOTAL: u32 = 0;
const BALANCES: u32 = 8;
const CUSTOMERS_MAX: u32 = 8184;

function require(condition: bool): void {
  if (!condition) ethereum.revert(0, 0);
}

export function total<C>(): i64 {
  return changetype<C>(0).get(TOTAL);
}

export function balance<C>(who: u32): i64 {
  require(who < CUSTOMERS_MAX);
  return changetype<C>(0).get(BALANCES + who);
}

export function deposit<C>(who: u32, amount: i64): void {
  require(amount >= 0);
  const sum = total<C>() + amount;
  require(sum >= total<C>());
  changetype<C>(0).set(BALANCES + who, balance<C>(who) + amount);
  changetype<C>(0).set(TOTAL, sum);
}

export function withdraw<C>(who: u32): void {
  const amount = balance<C>(who);
  if (amount == 0) return;
  // The books first: from here on a re-entrant call finds nothing left to withdraw.
  changetype<C>(0).set(BALANCES + who, 0);
  changetype<C>(0).set(TOTAL, total<C>() - amount);
  // A payment that is not taken undoes the books with it.
  require(receive(amount) == OK);
}
