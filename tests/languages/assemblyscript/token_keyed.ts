// The token, its storage in 32-byte values by 32-byte keys.

import * as token from "./token";
import { Cells } from "./cells_keyed";

export function supply(): i64 {
  return token.supply<Cells>();
}

export function balance_of(account: u32): i64 {
  return token.balance_of<Cells>(account);
}

export function mint(to: u32, amount: i64): void {
  token.mint<Cells>(to, amount);
}

export function transfer(from: u32, to: u32, amount: i64): i64 {
  return token.transfer<Cells>(from, to, amount);
}
