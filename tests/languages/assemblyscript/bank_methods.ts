// The bank, its storage behind the functions of the storage module.

import * as bank from "./bank";
import { Cells } from "./cells_methods";

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
