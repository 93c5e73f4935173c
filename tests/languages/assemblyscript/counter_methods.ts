// The counter, its storage behind the functions of the storage module.

import * as counter from "./counter";
import { Cells } from "./cells_methods";

export function get(): i64 {
  return counter.get<Cells>();
}

export function increment(): i64 {
  return counter.increment<Cells>();
}

export function add(n: i64): i64 {
  return counter.add<Cells>(n);
}
