// @ts-nocheck: decorators are AssemblyScript's
// Imports of contracts in AssemblyScript. storagemod.h describes each function; the names here are those of the imports.
//
//     import { storage } from "storagemod";
//
//     export function increment(): i64 {
//       storage.store_i64(0, storage.load_i64(0) + 1);
//       return storage.load_i64(0);
//     }
//
// storagemod compiles counter.ts with this file. For a compiler of your own:
// `asc counter.ts --lib $(storagemod header --folder)/storagemod.ts --runtime stub --noAssert --use abort=`.
//
// Memory is given by its offset: `memory.data(length)` has room for data. For mapped storage, use
// `memory.data(length, PAGE_BYTES)`, with a length in whole pages, and map it once in a call. `finish`, `revert` and
// `selfDestruct` do not return; write `unreachable()` after them where a value is missing.
//
// A function of another contract is a declaration of yours:
//
//     @external("contract:customer", "receive?")
//     declare function receive(amount: i64): i32;
//
// A contract imports the functions that it calls. They choose the linking option: `storage.*` for `methods`, `single` and
// `regions`; `storageMap` for `copied`, `paged` and `aliased`; `storageLoad` and `storageStore` for `keyed`.

// Results of calls and creations.
export const OK: i32 = 0;
export const FAILED: i32 = 1;
export const REVERTED: i32 = 2;

export const PAGE_BYTES: i32 = 4096;

export namespace storage {
  @external("storage", "load_i32")
  export declare function load_i32(offset: u32): i32;
  @external("storage", "load_i64")
  export declare function load_i64(offset: u32): i64;
  @external("storage", "load_f32")
  export declare function load_f32(offset: u32): f32;
  @external("storage", "load_f64")
  export declare function load_f64(offset: u32): f64;
  @external("storage", "load_i32_8_s")
  export declare function load_i32_8_s(offset: u32): i32;
  @external("storage", "load_i32_8_u")
  export declare function load_i32_8_u(offset: u32): u32;
  @external("storage", "load_i32_16_s")
  export declare function load_i32_16_s(offset: u32): i32;
  @external("storage", "load_i32_16_u")
  export declare function load_i32_16_u(offset: u32): u32;
  @external("storage", "load_i64_8_s")
  export declare function load_i64_8_s(offset: u32): i64;
  @external("storage", "load_i64_8_u")
  export declare function load_i64_8_u(offset: u32): u64;
  @external("storage", "load_i64_16_s")
  export declare function load_i64_16_s(offset: u32): i64;
  @external("storage", "load_i64_16_u")
  export declare function load_i64_16_u(offset: u32): u64;
  @external("storage", "load_i64_32_s")
  export declare function load_i64_32_s(offset: u32): i64;
  @external("storage", "load_i64_32_u")
  export declare function load_i64_32_u(offset: u32): u64;
  @external("storage", "store_i32")
  export declare function store_i32(offset: u32, value: i32): void;
  @external("storage", "store_i64")
  export declare function store_i64(offset: u32, value: i64): void;
  @external("storage", "store_f32")
  export declare function store_f32(offset: u32, value: f32): void;
  @external("storage", "store_f64")
  export declare function store_f64(offset: u32, value: f64): void;
  @external("storage", "store_i32_8")
  export declare function store_i32_8(offset: u32, value: i32): void;
  @external("storage", "store_i32_16")
  export declare function store_i32_16(offset: u32, value: i32): void;
  @external("storage", "store_i64_8")
  export declare function store_i64_8(offset: u32, value: i64): void;
  @external("storage", "store_i64_16")
  export declare function store_i64_16(offset: u32, value: i64): void;
  @external("storage", "store_i64_32")
  export declare function store_i64_32(offset: u32, value: i64): void;
  @external("storage", "copy_in")
  export declare function copy_in(memory: usize, storageOffset: u32, length: u32): void;
  @external("storage", "copy_out")
  export declare function copy_out(memory: usize, storageOffset: u32, length: u32): void;
  @external("storage", "size")
  export declare function size(): u32;
  @external("storage", "grow")
  export declare function grow(pages: u32): i32;
}

export namespace ethereum {
  @external("ethereum", "storageMap")
  export declare function storageMap(memory: usize, storageOffset: u32, length: u32): void;
  @external("ethereum", "storageUnmap")
  export declare function storageUnmap(memory: usize): void;
  @external("ethereum", "storageSize")
  export declare function storageSize(): u64;
  @external("ethereum", "storageLoad")
  export declare function storageLoad(key: usize, value: usize): void;
  @external("ethereum", "storageStore")
  export declare function storageStore(key: usize, value: usize): void;
  @external("ethereum", "getAddress")
  export declare function getAddress(result: usize): void;
  @external("ethereum", "getCaller")
  export declare function getCaller(result: usize): void;
  @external("ethereum", "getCallValue")
  export declare function getCallValue(result: usize): void;
  @external("ethereum", "getCallDataSize")
  export declare function getCallDataSize(): u32;
  @external("ethereum", "callDataCopy")
  export declare function callDataCopy(result: usize, dataOffset: u32, length: u32): void;
  @external("ethereum", "getCodeSize")
  export declare function getCodeSize(): u32;
  @external("ethereum", "codeCopy")
  export declare function codeCopy(result: usize, codeOffset: u32, length: u32): void;
  @external("ethereum", "getGasLeft")
  export declare function getGasLeft(): i64;
  @external("ethereum", "useGas")
  export declare function useGas(amount: i64): void;
  @external("ethereum", "finish")
  export declare function finish(data: usize, length: u32): void;
  @external("ethereum", "revert")
  export declare function revert(data: usize, length: u32): void;
  @external("ethereum", "selfDestruct")
  export declare function selfDestruct(beneficiary: usize): void;
  @external("ethereum", "log")
  export declare function log(data: usize, length: u32, topicCount: u32, topic1: usize, topic2: usize, topic3: usize, topic4: usize): void;
  @external("ethereum", "call")
  export declare function call(gas: i64, to: usize, value: usize, data: usize, length: u32): i32;
  @external("ethereum", "callCode")
  export declare function callCode(gas: i64, to: usize, value: usize, data: usize, length: u32): i32;
  @external("ethereum", "callDelegate")
  export declare function callDelegate(gas: i64, to: usize, data: usize, length: u32): i32;
  @external("ethereum", "callStatic")
  export declare function callStatic(gas: i64, to: usize, data: usize, length: u32): i32;
  @external("ethereum", "create")
  export declare function create(value: usize, code: usize, length: u32, result: usize): i32;
  @external("ethereum", "getReturnDataSize")
  export declare function getReturnDataSize(): u32;
  @external("ethereum", "returnDataCopy")
  export declare function returnDataCopy(result: usize, dataOffset: u32, length: u32): void;
  @external("ethereum", "getExternalBalance")
  export declare function getExternalBalance(account: usize, result: usize): void;
  @external("ethereum", "getExternalCodeSize")
  export declare function getExternalCodeSize(account: usize): u32;
  @external("ethereum", "externalCodeCopy")
  export declare function externalCodeCopy(account: usize, result: usize, codeOffset: u32, length: u32): void;
  @external("ethereum", "getTxOrigin")
  export declare function getTxOrigin(result: usize): void;
  @external("ethereum", "getTxGasPrice")
  export declare function getTxGasPrice(result: usize): void;
  @external("ethereum", "getBlockNumber")
  export declare function getBlockNumber(): i64;
  @external("ethereum", "getBlockTimestamp")
  export declare function getBlockTimestamp(): i64;
  @external("ethereum", "getBlockGasLimit")
  export declare function getBlockGasLimit(): i64;
  @external("ethereum", "getBlockDifficulty")
  export declare function getBlockDifficulty(result: usize): void;
  @external("ethereum", "getBlockCoinbase")
  export declare function getBlockCoinbase(result: usize): void;
  @external("ethereum", "getBlockHash")
  export declare function getBlockHash(number: i64, result: usize): i32;
}

export namespace debug {
  @external("debug", "print32")
  export declare function print32(value: i32): void;
  @external("debug", "print64")
  export declare function print64(value: i64): void;
  @external("debug", "printMem")
  export declare function printMem(text: usize, length: u32): void;
  @external("debug", "printMemHex")
  export declare function printMemHex(data: usize, length: u32): void;
  @external("debug", "printStorage")
  export declare function printStorage(key: usize): void;
  @external("debug", "printStorageHex")
  export declare function printStorageHex(key: usize): void;
}
