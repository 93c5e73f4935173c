// The bank, its storage in 32-byte values by 32-byte keys.

import * as bank from "./bank";
import { Cells } from "./cells_keyed";

export function total(): i64 {
  return bank.total<Cells>();
}

export function balance(who: u32): i64 {
  return bank.balance<Cells>(who);
}

export function deposit(who: u32, amount: i64): void {
  bank.deposit<Cells>(who, amount);
}

export function withdraw(who: u32): void {
  bank.withdraw<Cells>(who);
}
