// Numbers of 64 bits in 32-byte values by 32-byte keys. Each value holds four, as linear storage has them.

import { ethereum } from "storagemod";

// Load the value that holds a number to memory, behind its key, and return where the number is.
function load_cell(number: u32, key: usize): usize {
  const slot = number / 4;
  store<u8>(key + 30, <u8>(slot >> 8));
  store<u8>(key + 31, <u8>slot);
  ethereum.storageLoad(key, key + 32);
  return key + 32 + 8 * (number % 4);
}

// @ts-ignore: decorator
@unmanaged
export class Cells {
  get(number: u32): i64 {
    return load<i64>(load_cell(number, memory.data(64)));
  }

  set(number: u32, value: i64): void {
    const key = memory.data(64);
    store<i64>(load_cell(number, key), value);
    ethereum.storageStore(key, key + 32);
  }
}
