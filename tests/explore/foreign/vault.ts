// The vault of vault.c, in AssemblyScript: `main` and `memory` only, selectors, words of 32 bytes, keys and values.
// Amounts have 64 bits.
//
// The fault: it pays before it writes. The twin in the tests swaps the lines that are marked.

import { ethereum, OK } from "storagemod";

const owner = memory.data(32, 16); // the caller's address is its end
const total = memory.data(32, 16);
const given = memory.data(32, 16);
const value = memory.data(32, 16);
const money = memory.data(16, 16);
const selector = memory.data(4, 16);

function require(condition: bool): void {
  if (!condition) ethereum.revert(0, 0);
}

function get(key: usize): u64 {
  ethereum.storageLoad(key, value);
  return bswap(load<u64>(value + 24));
}

function set(key: usize, to: u64): void {
  memory.fill(value, 0, 24);
  store<u64>(value + 24, bswap(to));
  ethereum.storageStore(key, value);
}

function readArgument(): void {
  require(ethereum.getCallDataSize() == 36);
  ethereum.callDataCopy(given, 4, 32);
}

function answer(key: usize): void {
  ethereum.storageLoad(key, value);
  ethereum.finish(value, 32);
}

function pay(what: u64): void {
  store<u64>(money, what);
  store<u64>(money + 8, 0);
  require(ethereum.call(i64.MAX_VALUE, owner + 12, money, 0, 0) == OK);
}

function withdraw(what: u64): void {
  const has = get(owner);
  require(what > 0 && what <= has);
  pay(what); // pay
  set(owner, has - what); // write
  set(total, get(total) - what);
}

export function main(): void {
  ethereum.getCaller(owner + 12);
  ethereum.getCallValue(money);
  const paid = load<u64>(money);
  require(ethereum.getCallDataSize() >= 4);
  ethereum.callDataCopy(selector, 0, 4);
  const method = bswap(load<u32>(selector));
  require(paid == 0 || method == 0xd0e30db0);
  switch (method) {
    case 0xd0e30db0:
      set(owner, get(owner) + paid);
      set(total, get(total) + paid);
      return;
    case 0x2e1a7d4d:
      readArgument();
      require(load<u64>(given) == 0 && load<u64>(given + 8) == 0 && load<u64>(given + 16) == 0);
      withdraw(bswap(load<u64>(given + 24)));
      return;
    case 0x18160ddd:
      answer(total);
      return;
    case 0x70a08231:
      readArgument();
      answer(given);
      return;
    default:
      ethereum.revert(0, 0);
  }
}
