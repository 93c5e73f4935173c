// The token of wat/token/token.wat, in AssemblyScript: it calls the exchange when it receives tokens, and the exchange calls
// back. The file that uses it chooses how cells are stored: C is a class of cells, whose methods need no object.

import { ethereum, OK } from "storagemod";

// @ts-ignore: decorator
@external("contract:exchange", "on_received?")
declare function onReceived(from: u32, amount: i64): i32;

const SUPPLY: u32 = 0;
const BALANCES: u32 = 8;
const ACCOUNTS_MAX: u32 = 8184;
const EXCHANGE: u32 = 0;

function require(condition: bool): void {
  if (!condition) ethereum.revert(0, 0);
}

export function supply<C>(): i64 {
  return changetype<C>(0).get(SUPPLY);
}

export function balance_of<C>(account: u32): i64 {
  require(account < ACCOUNTS_MAX);
  return changetype<C>(0).get(BALANCES + account);
}

// Add to a balance, or take from it where the amount is negative.
function changeBalance<C>(account: u32, amount: i64): void {
  changetype<C>(0).set(BALANCES + account, balance_of<C>(account) + amount);
}

export function mint<C>(to: u32, amount: i64): void {
  require(amount >= 0);
  const sum = supply<C>() + amount;
  require(sum >= 0);
  changeBalance<C>(to, amount);
  changetype<C>(0).set(SUPPLY, sum);
}

export function transfer<C>(from: u32, to: u32, amount: i64): i64 {
  require(amount >= 0);
  require(balance_of<C>(from) >= amount);
  changeBalance<C>(from, -amount);
  changeBalance<C>(to, amount);
  // The books are in order, so others may be called, and may call back.
  if (to == EXCHANGE && from != EXCHANGE) require(onReceived(from, amount) == OK);
  // Read only now: the exchange may have sent change.
  return balance_of<C>(from);
}
