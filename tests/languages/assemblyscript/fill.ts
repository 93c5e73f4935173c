// Fills a page of mapped storage with one instruction, as compilers do wherever they can.

import { ethereum, PAGE_BYTES } from "storagemod";

export function main(): void {
  const page = memory.data(PAGE_BYTES, PAGE_BYTES);
  ethereum.storageMap(page, 0, PAGE_BYTES);
  memory.fill(page, 7, PAGE_BYTES);
}
