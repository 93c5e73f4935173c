//! Imports of contracts in Zig. `storagemod.h` describes each function; the names here are those of the imports.
//!
//!     const storage = @import("storagemod").storage;
//!
//!     export fn increment() i64 {
//!         storage.store_i64(0, storage.load_i64(0) + 1);
//!         return storage.load_i64(0);
//!     }
//!
//! storagemod compiles `counter.zig` with this file as the module `storagemod`. For a compiler of your own:
//! `zig build-exe ... --dep storagemod -Mroot=counter.zig -Mstoragemod=$(storagemod header --folder)/storagemod.zig`.
//!
//! A function of another contract is an `extern` of yours. Name it by a string if it is no identifier:
//!
//!     const receive = @extern(*const fn (amount: i64) callconv(.c) i32, .{
//!         .name = "receive?",
//!         .library_name = "contract:customer",
//!     });
//!
//! A contract imports the functions that it calls. They choose the linking option: `storage.*` for `methods`, `single` and
//! `regions`; `storageMap` for `copied`, `paged` and `aliased`; `storageLoad` and `storageStore` for `keyed`.

pub const Address = [20]u8;
pub const Bytes32 = [32]u8;

/// Results of calls and creations.
pub const ok = 0;
pub const failed = 1;
pub const reverted = 2;

pub const page_bytes = 4096;

/// Room for mapped storage, in whole pages that hold nothing else. Declare it as a variable of the file:
///
///     var books: storagemod.Paged([8192]i64) = .{};
///
/// and call `books.map(0)` before you use `books.value`, once in a call.
pub fn Paged(comptime T: type) type {
    return extern struct {
        value: T align(page_bytes) = @import("std").mem.zeroes(T),

        /// Map storage from this offset on, a multiple of `page_bytes`.
        pub fn map(self: *@This(), storage_offset: u32) void {
            ethereum.storageMap(self, storage_offset, @sizeOf(@This()));
        }

        /// Remove the mapping: `value` is zeros, and storage keeps what was written.
        pub fn unmap(self: *@This()) void {
            ethereum.storageUnmap(self);
        }
    };
}

pub const storage = struct {
    pub extern "storage" fn load_i32(offset: u32) i32;
    pub extern "storage" fn load_i64(offset: u32) i64;
    pub extern "storage" fn load_f32(offset: u32) f32;
    pub extern "storage" fn load_f64(offset: u32) f64;
    pub extern "storage" fn load_i32_8_s(offset: u32) i32;
    pub extern "storage" fn load_i32_8_u(offset: u32) u32;
    pub extern "storage" fn load_i32_16_s(offset: u32) i32;
    pub extern "storage" fn load_i32_16_u(offset: u32) u32;
    pub extern "storage" fn load_i64_8_s(offset: u32) i64;
    pub extern "storage" fn load_i64_8_u(offset: u32) u64;
    pub extern "storage" fn load_i64_16_s(offset: u32) i64;
    pub extern "storage" fn load_i64_16_u(offset: u32) u64;
    pub extern "storage" fn load_i64_32_s(offset: u32) i64;
    pub extern "storage" fn load_i64_32_u(offset: u32) u64;

    pub extern "storage" fn store_i32(offset: u32, value: i32) void;
    pub extern "storage" fn store_i64(offset: u32, value: i64) void;
    pub extern "storage" fn store_f32(offset: u32, value: f32) void;
    pub extern "storage" fn store_f64(offset: u32, value: f64) void;
    pub extern "storage" fn store_i32_8(offset: u32, value: i32) void;
    pub extern "storage" fn store_i32_16(offset: u32, value: i32) void;
    pub extern "storage" fn store_i64_8(offset: u32, value: i64) void;
    pub extern "storage" fn store_i64_16(offset: u32, value: i64) void;
    pub extern "storage" fn store_i64_32(offset: u32, value: i64) void;

    pub extern "storage" fn copy_in(memory: *const anyopaque, storage_offset: u32, length: u32) void;
    pub extern "storage" fn copy_out(memory: *anyopaque, storage_offset: u32, length: u32) void;
    pub extern "storage" fn size() u32;
    pub extern "storage" fn grow(pages: u32) i32;
};

pub const ethereum = struct {
    pub extern "ethereum" fn storageMap(memory: *anyopaque, storage_offset: u32, length: u32) void;
    pub extern "ethereum" fn storageUnmap(memory: *anyopaque) void;
    pub extern "ethereum" fn storageSize() u64;

    pub extern "ethereum" fn storageLoad(key: *const Bytes32, value: *Bytes32) void;
    pub extern "ethereum" fn storageStore(key: *const Bytes32, value: *const Bytes32) void;

    pub extern "ethereum" fn getAddress(result: *Address) void;
    pub extern "ethereum" fn getCaller(result: *Address) void;
    pub extern "ethereum" fn getCallValue(result: *u128) void;
    pub extern "ethereum" fn getCallDataSize() u32;
    pub extern "ethereum" fn callDataCopy(result: *anyopaque, data_offset: u32, length: u32) void;
    pub extern "ethereum" fn getCodeSize() u32;
    pub extern "ethereum" fn codeCopy(result: *anyopaque, code_offset: u32, length: u32) void;
    pub extern "ethereum" fn getGasLeft() i64;
    pub extern "ethereum" fn useGas(amount: i64) void;

    pub extern "ethereum" fn finish(data: ?*const anyopaque, length: u32) noreturn;
    pub extern "ethereum" fn revert(data: ?*const anyopaque, length: u32) noreturn;
    pub extern "ethereum" fn selfDestruct(beneficiary: *const Address) noreturn;

    pub extern "ethereum" fn log(
        data: ?*const anyopaque,
        length: u32,
        topic_count: u32,
        topic1: ?*const Bytes32,
        topic2: ?*const Bytes32,
        topic3: ?*const Bytes32,
        topic4: ?*const Bytes32,
    ) void;

    pub extern "ethereum" fn call(gas: i64, to: *const Address, value: *const u128, data: ?*const anyopaque, length: u32) i32;
    pub extern "ethereum" fn callCode(gas: i64, to: *const Address, value: *const u128, data: ?*const anyopaque, length: u32) i32;
    pub extern "ethereum" fn callDelegate(gas: i64, to: *const Address, data: ?*const anyopaque, length: u32) i32;
    pub extern "ethereum" fn callStatic(gas: i64, to: *const Address, data: ?*const anyopaque, length: u32) i32;
    pub extern "ethereum" fn create(value: *const u128, code: *const anyopaque, length: u32, result: *Address) i32;
    pub extern "ethereum" fn getReturnDataSize() u32;
    pub extern "ethereum" fn returnDataCopy(result: *anyopaque, data_offset: u32, length: u32) void;

    pub extern "ethereum" fn getExternalBalance(account: *const Address, result: *u128) void;
    pub extern "ethereum" fn getExternalCodeSize(account: *const Address) u32;
    pub extern "ethereum" fn externalCodeCopy(account: *const Address, result: *anyopaque, code_offset: u32, length: u32) void;

    pub extern "ethereum" fn getTxOrigin(result: *Address) void;
    pub extern "ethereum" fn getTxGasPrice(result: *u128) void;
    pub extern "ethereum" fn getBlockNumber() i64;
    pub extern "ethereum" fn getBlockTimestamp() i64;
    pub extern "ethereum" fn getBlockGasLimit() i64;
    pub extern "ethereum" fn getBlockDifficulty(result: *[4]u64) void;
    pub extern "ethereum" fn getBlockCoinbase(result: *Address) void;
    pub extern "ethereum" fn getBlockHash(number: i64, result: *Bytes32) i32;
};

/// Printing, where debugging is on, as in `World(debug=True)`.
pub const debug = struct {
    pub extern "debug" fn print32(value: i32) void;
    pub extern "debug" fn print64(value: i64) void;
    pub extern "debug" fn printMem(text: *const anyopaque, length: u32) void;
    pub extern "debug" fn printMemHex(data: *const anyopaque, length: u32) void;
    pub extern "debug" fn printStorage(key: *const Bytes32) void;
    pub extern "debug" fn printStorageHex(key: *const Bytes32) void;
};
