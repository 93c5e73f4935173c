// The counter, its storage in 32-byte values by 32-byte keys.

import * as counter from "./counter";
import { Cells } from "./cells_keyed";

export function get(): i64 {
  return counter.get<Cells>();
}

export function increment(): i64 {
  return counter.increment<Cells>();
}

export function add(n: i64): i64 {
  return counter.add<Cells>(n);
}
