// Counts in a page of storage, which it maps and unmaps again.

import { ethereum, PAGE_BYTES } from "storagemod";

// The count in thousands, and what is seen of it once it is unmapped.
export function count(): i64 {
  const page = memory.data(PAGE_BYTES, PAGE_BYTES);
  ethereum.storageMap(page, 4096, PAGE_BYTES);
  const counted = load<i64>(page) + 1;
  store<i64>(page, counted);
  ethereum.storageUnmap(page);
  return 1000 * counted + load<i64>(page);
}

export function size(): u64 {
  return ethereum.storageSize();
}
