/* storagemod.h - what a contract in C may import, and how it keeps state.
 *
 * Freestanding C11 for Clang, or `zig cc`, with the target wasm32; no C library is needed.
 * `storagemod compile bank.c -o bank.wasm` finds this file by itself; for a compiler of your own,
 * `storagemod header > storagemod.h` writes it out.
 *
 *     #include <storagemod.h>
 *
 *     struct STORAGEMOD_PAGED books { int64_t total; int64_t balances[1000]; };
 *     static struct books books;
 *
 *     STORAGEMOD_EXPORT(deposit) void deposit(uint32_t who, int64_t amount) {
 *       STORAGEMOD_MAP(books, 0);
 *       books.balances[who % 1000] += amount;
 *       books.total += amount;
 *     }
 *
 * A contract imports what it uses of the declarations below and nothing else, and that settles how it reaches its
 * storage: by ethereum_storageMap, by the storage_ functions, or by ethereum_storageLoad and ethereum_storageStore.
 * The name of each is that of the import, `storage.load_i64` being storage_load_i64. A contract in C has one memory,
 * its own. Yet one that calls the storage_ functions can be linked as `single` or `regions`, where storage is an imported
 * memory: the loader puts that memory's instructions in place of the calls, whose cost is then that of a load or a store.
 *
 * What takes a second memory in the source is out of reach of C, and there are no macros for it: the linking option
 * `window`, and regions other than `memory`.
 *
 * Each call of a contract starts with fresh memory: its variables are as the source initialises them, in a re-entrant
 * call too. Only storage lasts, and is shared by all calls of the contract that are under way.
 */
#ifndef STORAGEMOD_H
#define STORAGEMOD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Before the declaration of a function that another module defines: STORAGEMOD_IMPORT("contract:token", "transfer"). */
#define STORAGEMOD_IMPORT(module, name) __attribute__((import_module(module), import_name(name)))

/* Before the definition of a function that can be called from outside, under that name. The one that is called with
 * call data is STORAGEMOD_EXPORT(main); give it another name in C, where `main` means something else:
 *
 *     STORAGEMOD_EXPORT(main) void run(void) { ... }
 */
#define STORAGEMOD_EXPORT(name) __attribute__((export_name(#name)))

/* Data as it lies in memory. Numbers are little-endian. */

typedef struct {
  uint8_t bytes[20];
} ethereum_address;

typedef struct {
  uint8_t bytes[32];
} ethereum_bytes32;

typedef unsigned __int128 ethereum_u128; /* every amount of value */

typedef struct {
  uint64_t words[4]; /* the least first */
} ethereum_u256;

/* How a call or a creation ended. */
enum { ETHEREUM_OK = 0, ETHEREUM_FAILED = 1, ETHEREUM_REVERTED = 2 };

/* ---- Storage that is mapped into memory: the linking options that serve `ethereum.storageMap` ----
 *
 * The range of storage appears at `memory`, and what the contract writes there is written to storage: when the call
 * ends well, and before each call that it makes, unless the contract is deployed with a policy that says otherwise.
 * After a call out the memory shows what re-entrant calls wrote, so read again what you read before it.
 *
 * Some options map whole pages: both offsets are then multiples of STORAGEMOD_PAGE_BYTES, the length is rounded up to
 * one, and nothing else may lie in those pages. So let the compiler make room: a type with STORAGEMOD_PAGED begins at a
 * page, and is as long as whole pages are. A range is mapped once in a call; what is not mapped is not copied.
 */
STORAGEMOD_IMPORT("ethereum", "storageMap")
void ethereum_storageMap(void *memory, uint32_t storage_offset, uint32_t length);

/* Take out what was mapped at `memory`: what was written there stays in storage, and `memory` has zeros. */
STORAGEMOD_IMPORT("ethereum", "storageUnmap")
void ethereum_storageUnmap(void *memory);

/* The length of storage in bytes. */
STORAGEMOD_IMPORT("ethereum", "storageSize")
uint64_t ethereum_storageSize(void);

#define STORAGEMOD_PAGE_BYTES 4096
#define STORAGEMOD_PAGED __attribute__((aligned(STORAGEMOD_PAGE_BYTES)))

/* Let storage appear in a variable of such a type, which must be static: the stack is no place for it. */
#define STORAGEMOD_MAP(variable, storage_offset)                                                      \
  do {                                                                                                \
    _Static_assert(_Alignof(__typeof__(variable)) % STORAGEMOD_PAGE_BYTES == 0,                       \
                   "storage is mapped into a type that is STORAGEMOD_PAGED");                         \
    ethereum_storageMap(&(variable), (storage_offset), sizeof(variable));                             \
  } while (0)

/* ---- Storage behind functions: the linking option `methods` ----
 *
 * Offsets are bytes of storage, which is as long as storage_size says, in pages of 64 KiB; beyond, an access traps.
 */
#define STORAGEMOD_LOAD_(name, type) STORAGEMOD_IMPORT("storage", #name) type storage_##name(uint32_t offset);
#define STORAGEMOD_STORE_(name, type) \
  STORAGEMOD_IMPORT("storage", #name) void storage_##name(uint32_t offset, type value);

STORAGEMOD_LOAD_(load_i32, int32_t)
STORAGEMOD_LOAD_(load_i64, int64_t)
STORAGEMOD_LOAD_(load_f32, float)
STORAGEMOD_LOAD_(load_f64, double)
STORAGEMOD_LOAD_(load_i32_8_s, int32_t)
STORAGEMOD_LOAD_(load_i32_8_u, uint32_t)
STORAGEMOD_LOAD_(load_i32_16_s, int32_t)
STORAGEMOD_LOAD_(load_i32_16_u, uint32_t)
STORAGEMOD_LOAD_(load_i64_8_s, int64_t)
STORAGEMOD_LOAD_(load_i64_8_u, uint64_t)
STORAGEMOD_LOAD_(load_i64_16_s, int64_t)
STORAGEMOD_LOAD_(load_i64_16_u, uint64_t)
STORAGEMOD_LOAD_(load_i64_32_s, int64_t)
STORAGEMOD_LOAD_(load_i64_32_u, uint64_t)

STORAGEMOD_STORE_(store_i32, int32_t)
STORAGEMOD_STORE_(store_i64, int64_t)
STORAGEMOD_STORE_(store_f32, float)
STORAGEMOD_STORE_(store_f64, double)
STORAGEMOD_STORE_(store_i32_8, int32_t)
STORAGEMOD_STORE_(store_i32_16, int32_t)
STORAGEMOD_STORE_(store_i64_8, int64_t)
STORAGEMOD_STORE_(store_i64_16, int64_t)
STORAGEMOD_STORE_(store_i64_32, int64_t)

/* From memory into storage, and from storage into memory. */
STORAGEMOD_IMPORT("storage", "copy_in")
void storage_copy_in(const void *memory, uint32_t storage_offset, uint32_t length);
STORAGEMOD_IMPORT("storage", "copy_out")
void storage_copy_out(void *memory, uint32_t storage_offset, uint32_t length);

STORAGEMOD_IMPORT("storage", "size") uint32_t storage_size(void);
/* Makes storage longer by so many pages of 64 KiB; gives the length before, or -1 where that is refused. */
STORAGEMOD_IMPORT("storage", "grow") int32_t storage_grow(uint32_t pages);

/* ---- Storage by keys: the linking option `keyed` ---- */

STORAGEMOD_IMPORT("ethereum", "storageLoad")
void ethereum_storageLoad(const ethereum_bytes32 *key, ethereum_bytes32 *value);
STORAGEMOD_IMPORT("ethereum", "storageStore")
void ethereum_storageStore(const ethereum_bytes32 *key, const ethereum_bytes32 *value);

/* ---- The rest of the Ethereum Environment Interface, method by method (ewasm/design, eth_interface.md) ---- */

/* The call. */

STORAGEMOD_IMPORT("ethereum", "getAddress") void ethereum_getAddress(ethereum_address *result);
STORAGEMOD_IMPORT("ethereum", "getCaller") void ethereum_getCaller(ethereum_address *result);
STORAGEMOD_IMPORT("ethereum", "getCallValue") void ethereum_getCallValue(ethereum_u128 *result);
STORAGEMOD_IMPORT("ethereum", "getCallDataSize") uint32_t ethereum_getCallDataSize(void);
STORAGEMOD_IMPORT("ethereum", "callDataCopy")
void ethereum_callDataCopy(void *result, uint32_t data_offset, uint32_t length);
STORAGEMOD_IMPORT("ethereum", "getCodeSize") uint32_t ethereum_getCodeSize(void);
STORAGEMOD_IMPORT("ethereum", "codeCopy") void ethereum_codeCopy(void *result, uint32_t code_offset, uint32_t length);
STORAGEMOD_IMPORT("ethereum", "getGasLeft") int64_t ethereum_getGasLeft(void);
STORAGEMOD_IMPORT("ethereum", "useGas") void ethereum_useGas(int64_t amount);

/* Ending it, with output; what a call that reverts did is undone. */

STORAGEMOD_IMPORT("ethereum", "finish") _Noreturn void ethereum_finish(const void *data, uint32_t length);
STORAGEMOD_IMPORT("ethereum", "revert") _Noreturn void ethereum_revert(const void *data, uint32_t length);
STORAGEMOD_IMPORT("ethereum", "selfDestruct") _Noreturn void ethereum_selfDestruct(const ethereum_address *beneficiary);

STORAGEMOD_IMPORT("ethereum", "log")
void ethereum_log(const void *data, uint32_t length, uint32_t topic_count, const ethereum_bytes32 *topic1,
                  const ethereum_bytes32 *topic2, const ethereum_bytes32 *topic3, const ethereum_bytes32 *topic4);

/* Calling others, which gives ETHEREUM_OK, ETHEREUM_FAILED or ETHEREUM_REVERTED. The callee may call back: have your
 * state in storage, and in order, before. */

STORAGEMOD_IMPORT("ethereum", "call")
int32_t ethereum_call(int64_t gas, const ethereum_address *to, const ethereum_u128 *value, const void *data,
                      uint32_t length);
STORAGEMOD_IMPORT("ethereum", "callCode")
int32_t ethereum_callCode(int64_t gas, const ethereum_address *to, const ethereum_u128 *value, const void *data,
                          uint32_t length);
STORAGEMOD_IMPORT("ethereum", "callDelegate")
int32_t ethereum_callDelegate(int64_t gas, const ethereum_address *to, const void *data, uint32_t length);
STORAGEMOD_IMPORT("ethereum", "callStatic")
int32_t ethereum_callStatic(int64_t gas, const ethereum_address *to, const void *data, uint32_t length);
STORAGEMOD_IMPORT("ethereum", "create")
int32_t ethereum_create(const ethereum_u128 *value, const void *code, uint32_t length, ethereum_address *result);
STORAGEMOD_IMPORT("ethereum", "getReturnDataSize") uint32_t ethereum_getReturnDataSize(void);
STORAGEMOD_IMPORT("ethereum", "returnDataCopy")
void ethereum_returnDataCopy(void *result, uint32_t data_offset, uint32_t length);

/* Other accounts. */

STORAGEMOD_IMPORT("ethereum", "getExternalBalance")
void ethereum_getExternalBalance(const ethereum_address *account, ethereum_u128 *result);
STORAGEMOD_IMPORT("ethereum", "getExternalCodeSize")
uint32_t ethereum_getExternalCodeSize(const ethereum_address *account);
STORAGEMOD_IMPORT("ethereum", "externalCodeCopy")
void ethereum_externalCodeCopy(const ethereum_address *account, void *result, uint32_t code_offset, uint32_t length);

/* The transaction and the block. */

STORAGEMOD_IMPORT("ethereum", "getTxOrigin") void ethereum_getTxOrigin(ethereum_address *result);
STORAGEMOD_IMPORT("ethereum", "getTxGasPrice") void ethereum_getTxGasPrice(ethereum_u128 *result);
STORAGEMOD_IMPORT("ethereum", "getBlockNumber") int64_t ethereum_getBlockNumber(void);
STORAGEMOD_IMPORT("ethereum", "getBlockTimestamp") int64_t ethereum_getBlockTimestamp(void);
STORAGEMOD_IMPORT("ethereum", "getBlockGasLimit") int64_t ethereum_getBlockGasLimit(void);
STORAGEMOD_IMPORT("ethereum", "getBlockDifficulty") void ethereum_getBlockDifficulty(ethereum_u256 *result);
STORAGEMOD_IMPORT("ethereum", "getBlockCoinbase") void ethereum_getBlockCoinbase(ethereum_address *result);
/* 0, and the hash of one of the last 256 blocks; 1 where it is none of these. */
STORAGEMOD_IMPORT("ethereum", "getBlockHash")
int32_t ethereum_getBlockHash(int64_t number, ethereum_bytes32 *result);

/* ---- Printing: a contract with these is refused unless debugging is on, as in World(debug=True) ---- */

STORAGEMOD_IMPORT("debug", "print32") void debug_print32(int32_t value);
STORAGEMOD_IMPORT("debug", "print64") void debug_print64(int64_t value);
STORAGEMOD_IMPORT("debug", "printMem") void debug_printMem(const void *text, uint32_t length);
STORAGEMOD_IMPORT("debug", "printMemHex") void debug_printMemHex(const void *data, uint32_t length);
STORAGEMOD_IMPORT("debug", "printStorage") void debug_printStorage(const ethereum_bytes32 *key);
STORAGEMOD_IMPORT("debug", "printStorageHex") void debug_printStorageHex(const ethereum_bytes32 *key);

#endif
