// Imports of contracts in Rust. `storagemod.h` describes each function; the names here are those of the imports.
//
//     #![no_std]
//     mod storagemod { include!(env!("STORAGEMOD_RS")); }
//     use storagemod::storage;
//
//     #[no_mangle]
//     pub extern "C" fn increment() -> i64 {
//         storage::store_i64(0, storage::load_i64(0) + 1);
//         storage::load_i64(0)
//     }
//
// storagemod compiles `counter.rs` with the path of this file in the variable STORAGEMOD_RS. For a compiler of your own:
// `export STORAGEMOD_RS=$(storagemod header --folder)/storagemod.rs`. The file has a panic handler, which traps.
//
// A function of another contract is a declaration of yours:
//
//     #[link(wasm_import_module = "contract:customer")]
//     extern "C" { #[link_name = "receive?"] fn receive(amount: i64) -> i32; }
//
// A contract imports the functions that it calls. They choose the linking option: `storage::*` for `methods`, `single` and
// `regions`; `storageMap` for `copied`, `paged` and `aliased`; `storageLoad` and `storageStore` for `keyed`.

#[allow(dead_code)] // a contract uses what it needs
pub type Address = [u8; 20];
#[allow(dead_code)]
pub type Bytes32 = [u8; 32];

/// Results of calls and creations.
#[allow(dead_code)]
pub const OK: i32 = 0;
#[allow(dead_code)]
pub const FAILED: i32 = 1;
#[allow(dead_code)]
pub const REVERTED: i32 = 2;

#[allow(dead_code)]
pub const PAGE_BYTES: u32 = 4096;

/// Room for mapped storage, in whole pages that hold nothing else. Declare it as a static of cells:
///
///     const ZERO: Cell<i64> = Cell::new(0);
///     static BOOKS: Paged<[Cell<i64>; 8192]> = Paged::new([ZERO; 8192]);
///
/// and call `BOOKS.map(0)` before you use `BOOKS[n].get()` and `BOOKS[n].set(value)`, once in a call.
#[allow(dead_code)]
#[repr(C, align(4096))]
pub struct Paged<T>(core::cell::UnsafeCell<T>);

// A contract has one thread.
unsafe impl<T> Sync for Paged<T> {}

#[allow(dead_code)]
impl<T> Paged<T> {
    pub const fn new(zeros: T) -> Self {
        Paged(core::cell::UnsafeCell::new(zeros))
    }

    /// Map storage from this offset on, a multiple of `PAGE_BYTES`.
    pub fn map(&'static self, storage_offset: u32) {
        unsafe { ethereum::storageMap(self.0.get().cast(), storage_offset, core::mem::size_of::<Self>() as u32) }
    }

    /// Remove the mapping: the bytes are zeros, and storage keeps what was written.
    pub fn unmap(&'static self) {
        unsafe { ethereum::storageUnmap(self.0.get().cast()) }
    }
}

impl<T> core::ops::Deref for Paged<T> {
    type Target = T;

    fn deref(&self) -> &T {
        unsafe { &*self.0.get() }
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}

/// Declare imports. Those of numbers alone are safe to call as they are.
macro_rules! imports {
    ($module:literal { $(fn $name:ident($($arg:ident: $kind:ty),*) $(-> $result:ty)?;)* }) => {
        mod numbers {
            #[link(wasm_import_module = $module)]
            extern "C" { $(pub fn $name($($arg: $kind),*) $(-> $result)?;)* }
        }
        $(#[inline(always)] pub fn $name($($arg: $kind),*) $(-> $result)? { unsafe { numbers::$name($($arg),*) } })*
    };
}

#[allow(dead_code)]
pub mod storage {
    imports! { "storage" {
        fn load_i32(offset: u32) -> i32;
        fn load_i64(offset: u32) -> i64;
        fn load_f32(offset: u32) -> f32;
        fn load_f64(offset: u32) -> f64;
        fn load_i32_8_s(offset: u32) -> i32;
        fn load_i32_8_u(offset: u32) -> u32;
        fn load_i32_16_s(offset: u32) -> i32;
        fn load_i32_16_u(offset: u32) -> u32;
        fn load_i64_8_s(offset: u32) -> i64;
        fn load_i64_8_u(offset: u32) -> u64;
        fn load_i64_16_s(offset: u32) -> i64;
        fn load_i64_16_u(offset: u32) -> u64;
        fn load_i64_32_s(offset: u32) -> i64;
        fn load_i64_32_u(offset: u32) -> u64;
        fn store_i32(offset: u32, value: i32);
        fn store_i64(offset: u32, value: i64);
        fn store_f32(offset: u32, value: f32);
        fn store_f64(offset: u32, value: f64);
        fn store_i32_8(offset: u32, value: i32);
        fn store_i32_16(offset: u32, value: i32);
        fn store_i64_8(offset: u32, value: i64);
        fn store_i64_16(offset: u32, value: i64);
        fn store_i64_32(offset: u32, value: i64);
        fn size() -> u32;
        fn grow(pages: u32) -> i32;
    } }

    mod raw {
        #[link(wasm_import_module = "storage")]
        extern "C" {
            pub fn copy_in(memory: *const u8, storage_offset: u32, length: u32);
            pub fn copy_out(memory: *mut u8, storage_offset: u32, length: u32);
        }
    }

    pub fn copy_in(memory: &[u8], storage_offset: u32) {
        unsafe { raw::copy_in(memory.as_ptr(), storage_offset, memory.len() as u32) }
    }

    pub fn copy_out(memory: &mut [u8], storage_offset: u32) {
        unsafe { raw::copy_out(memory.as_mut_ptr(), storage_offset, memory.len() as u32) }
    }
}

#[allow(dead_code, non_snake_case, improper_ctypes)] // pointers to u128, whose bytes are as the interface has them
pub mod ethereum {
    use super::{Address, Bytes32};

    imports! { "ethereum" {
        fn storageSize() -> u64;
        fn getCallDataSize() -> u32;
        fn getCodeSize() -> u32;
        fn getGasLeft() -> i64;
        fn useGas(amount: i64);
        fn getReturnDataSize() -> u32;
        fn getBlockNumber() -> i64;
        fn getBlockTimestamp() -> i64;
        fn getBlockGasLimit() -> i64;
    } }

    mod raw {
        use super::{Address, Bytes32};

        #[link(wasm_import_module = "ethereum")]
        extern "C" {
            pub fn storageMap(memory: *mut u8, storage_offset: u32, length: u32);
            pub fn storageUnmap(memory: *mut u8);
            pub fn storageLoad(key: *const Bytes32, value: *mut Bytes32);
            pub fn storageStore(key: *const Bytes32, value: *const Bytes32);
            pub fn getAddress(result: *mut Address);
            pub fn getCaller(result: *mut Address);
            pub fn getCallValue(result: *mut u128);
            pub fn callDataCopy(result: *mut u8, data_offset: u32, length: u32);
            pub fn codeCopy(result: *mut u8, code_offset: u32, length: u32);
            pub fn finish(data: *const u8, length: u32) -> !;
            pub fn revert(data: *const u8, length: u32) -> !;
            pub fn selfDestruct(beneficiary: *const Address) -> !;
            pub fn log(
                data: *const u8,
                length: u32,
                topic_count: u32,
                topic1: *const Bytes32,
                topic2: *const Bytes32,
                topic3: *const Bytes32,
                topic4: *const Bytes32,
            );
            pub fn call(gas: i64, to: *const Address, value: *const u128, data: *const u8, length: u32) -> i32;
            pub fn callCode(gas: i64, to: *const Address, value: *const u128, data: *const u8, length: u32) -> i32;
            pub fn callDelegate(gas: i64, to: *const Address, data: *const u8, length: u32) -> i32;
            pub fn callStatic(gas: i64, to: *const Address, data: *const u8, length: u32) -> i32;
            pub fn create(value: *const u128, code: *const u8, length: u32, result: *mut Address) -> i32;
            pub fn returnDataCopy(result: *mut u8, data_offset: u32, length: u32);
            pub fn getExternalBalance(account: *const Address, result: *mut u128);
            pub fn getExternalCodeSize(account: *const Address) -> u32;
            pub fn externalCodeCopy(account: *const Address, result: *mut u8, code_offset: u32, length: u32);
            pub fn getTxOrigin(result: *mut Address);
            pub fn getTxGasPrice(result: *mut u128);
            pub fn getBlockDifficulty(result: *mut [u64; 4]);
            pub fn getBlockCoinbase(result: *mut Address);
            pub fn getBlockHash(number: i64, result: *mut Bytes32) -> i32;
        }
    }

    pub use raw::{storageMap, storageUnmap};

    /// Return the value that a function writes.
    fn written<T: Copy>(zero: T, write: unsafe extern "C" fn(*mut T)) -> T {
        let mut result = zero;
        unsafe { write(&mut result) };
        result
    }

    pub fn storageLoad(key: &Bytes32) -> Bytes32 {
        let mut value = [0; 32];
        unsafe { raw::storageLoad(key, &mut value) };
        value
    }

    pub fn storageStore(key: &Bytes32, value: &Bytes32) {
        unsafe { raw::storageStore(key, value) }
    }

    pub fn getAddress() -> Address {
        written([0; 20], raw::getAddress)
    }

    pub fn getCaller() -> Address {
        written([0; 20], raw::getCaller)
    }

    pub fn getCallValue() -> u128 {
        written(0, raw::getCallValue)
    }

    pub fn callDataCopy(result: &mut [u8], data_offset: u32) {
        unsafe { raw::callDataCopy(result.as_mut_ptr(), data_offset, result.len() as u32) }
    }

    pub fn codeCopy(result: &mut [u8], code_offset: u32) {
        unsafe { raw::codeCopy(result.as_mut_ptr(), code_offset, result.len() as u32) }
    }

    pub fn finish(data: &[u8]) -> ! {
        unsafe { raw::finish(data.as_ptr(), data.len() as u32) }
    }

    pub fn revert(data: &[u8]) -> ! {
        unsafe { raw::revert(data.as_ptr(), data.len() as u32) }
    }

    pub fn selfDestruct(beneficiary: &Address) -> ! {
        unsafe { raw::selfDestruct(beneficiary) }
    }

    /// Log data with up to four topics.
    pub fn log(data: &[u8], topics: &[Bytes32]) {
        let topic = |n: usize| topics.get(n).map_or(core::ptr::null(), |each| each as *const Bytes32);
        let count = topics.len() as u32;
        unsafe { raw::log(data.as_ptr(), data.len() as u32, count, topic(0), topic(1), topic(2), topic(3)) }
    }

    pub fn call(gas: i64, to: &Address, value: u128, data: &[u8]) -> i32 {
        unsafe { raw::call(gas, to, &value, data.as_ptr(), data.len() as u32) }
    }

    pub fn callCode(gas: i64, to: &Address, value: u128, data: &[u8]) -> i32 {
        unsafe { raw::callCode(gas, to, &value, data.as_ptr(), data.len() as u32) }
    }

    pub fn callDelegate(gas: i64, to: &Address, data: &[u8]) -> i32 {
        unsafe { raw::callDelegate(gas, to, data.as_ptr(), data.len() as u32) }
    }

    pub fn callStatic(gas: i64, to: &Address, data: &[u8]) -> i32 {
        unsafe { raw::callStatic(gas, to, data.as_ptr(), data.len() as u32) }
    }

    pub fn create(value: u128, code: &[u8], result: &mut Address) -> i32 {
        unsafe { raw::create(&value, code.as_ptr(), code.len() as u32, result) }
    }

    pub fn returnDataCopy(result: &mut [u8], data_offset: u32) {
        unsafe { raw::returnDataCopy(result.as_mut_ptr(), data_offset, result.len() as u32) }
    }

    pub fn getExternalBalance(account: &Address) -> u128 {
        let mut balance = 0;
        unsafe { raw::getExternalBalance(account, &mut balance) };
        balance
    }

    pub fn getExternalCodeSize(account: &Address) -> u32 {
        unsafe { raw::getExternalCodeSize(account) }
    }

    pub fn externalCodeCopy(account: &Address, result: &mut [u8], code_offset: u32) {
        unsafe { raw::externalCodeCopy(account, result.as_mut_ptr(), code_offset, result.len() as u32) }
    }

    pub fn getTxOrigin() -> Address {
        written([0; 20], raw::getTxOrigin)
    }

    pub fn getTxGasPrice() -> u128 {
        written(0, raw::getTxGasPrice)
    }

    pub fn getBlockDifficulty() -> [u64; 4] {
        written([0; 4], raw::getBlockDifficulty)
    }

    pub fn getBlockCoinbase() -> Address {
        written([0; 20], raw::getBlockCoinbase)
    }

    /// Return the hash of one of the last 256 blocks.
    pub fn getBlockHash(number: i64) -> Option<Bytes32> {
        let mut hash = [0; 32];
        let result = unsafe { raw::getBlockHash(number, &mut hash) };
        (result == 0).then_some(hash)
    }
}

/// Printing, where debugging is on, as in `World(debug=True)`.
#[allow(dead_code, non_snake_case)]
pub mod debug {
    use super::Bytes32;

    imports! { "debug" {
        fn print32(value: i32);
        fn print64(value: i64);
    } }

    mod raw {
        use super::Bytes32;

        #[link(wasm_import_module = "debug")]
        extern "C" {
            pub fn printMem(text: *const u8, length: u32);
            pub fn printMemHex(data: *const u8, length: u32);
            pub fn printStorage(key: *const Bytes32);
            pub fn printStorageHex(key: *const Bytes32);
        }
    }

    pub fn printMem(text: &str) {
        unsafe { raw::printMem(text.as_ptr(), text.len() as u32) }
    }

    pub fn printMemHex(data: &[u8]) {
        unsafe { raw::printMemHex(data.as_ptr(), data.len() as u32) }
    }

    pub fn printStorage(key: &Bytes32) {
        unsafe { raw::printStorage(key) }
    }

    pub fn printStorageHex(key: &Bytes32) {
        unsafe { raw::printStorageHex(key) }
    }
}
