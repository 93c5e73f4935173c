// Storage behind functions, each by itself.

import { storage } from "storagemod";

export function load(offset: u32): i64 {
  return storage.load_i64(offset);
}

export function store(offset: u32, value: i64): void {
  storage.store_i64(offset, value);
}

export function narrow(offset: u32): i64 {
  return storage.load_i64_8_s(offset) + <i64>storage.load_i32_16_u(offset);
}

export function size(): u32 {
  return storage.size();
}

export function grow(pages: u32): i32 {
  return storage.grow(pages);
}

// Swap two neighbours of 8 bytes.
export function swap(offset: u32): void {
  const numbers = memory.data(24);
  storage.copy_out(numbers, offset, 16);
  i64.store(numbers + 16, i64.load(numbers));
  storage.copy_in(numbers + 8, offset, 16);
}
