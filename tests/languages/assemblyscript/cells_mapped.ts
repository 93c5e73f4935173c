// Numbers of 64 bits, mapped into memory: whole pages, which the compiler uses for nothing else.

import { ethereum, PAGE_BYTES } from "storagemod";

const BYTES: i32 = 65536;

let isMapped: bool = false; // memory is fresh in every call, re-entrant calls included

function cell(number: u32): usize {
  const cells = memory.data(BYTES, PAGE_BYTES);
  if (!isMapped) ethereum.storageMap(cells, 0, BYTES);
  isMapped = true;
  return cells + 8 * number;
}

// @ts-ignore: decorator
@unmanaged
export class Cells {
  get(number: u32): i64 {
    return load<i64>(cell(number));
  }

  set(number: u32, value: i64): void {
    store<i64>(cell(number), value);
  }
}
