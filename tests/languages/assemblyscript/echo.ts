// Finishes with its caller, the value that came with the call, its own address and the call data, and logs the data.

import { ethereum } from "storagemod";

const DATA: u32 = 56; // where the call data are, behind two addresses and a value

export function main(): void {
  if (ethereum.getCallDataSize() == 0) ethereum.revert(memory.data<u8>([110, 111, 32, 100, 97, 116, 97]), 7);
  const length = min(ethereum.getCallDataSize(), 64);
  const output = memory.data(120, 16);
  ethereum.getCaller(output);
  ethereum.getCallValue(output + 20);
  ethereum.getAddress(output + 36);
  ethereum.callDataCopy(output + DATA, 0, length);
  const topic = memory.data(32);
  store<u8>(topic, 7);
  ethereum.log(output + DATA, length, 1, topic, 0, 0, 0);
  ethereum.finish(output, DATA + length);
}
