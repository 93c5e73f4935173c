// Numbers of 64 bits, behind the functions of the storage module.

import { storage } from "storagemod";

// @ts-ignore: decorator
@unmanaged
export class Cells {
  get(number: u32): i64 {
    return storage.load_i64(8 * number);
  }

  set(number: u32, value: i64): void {
    storage.store_i64(8 * number, value);
  }
}
