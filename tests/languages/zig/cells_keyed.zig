//! Numbers of 64 bits in 32-byte values by 32-byte keys. Each value holds four, as linear storage has them.

const storagemod = @import("storagemod");
const ethereum = storagemod.ethereum;

const Cells = extern union {
    bytes: storagemod.Bytes32,
    numbers: [4]i64,
};

fn keyOf(number: u32) storagemod.Bytes32 {
    const slot = number / 4;
    var key: storagemod.Bytes32 = @splat(0);
    key[30] = @truncate(slot >> 8);
    key[31] = @truncate(slot);
    return key;
}

fn load(key: *const storagemod.Bytes32) Cells {
    var cells: Cells = undefined;
    ethereum.storageLoad(key, &cells.bytes);
    return cells;
}

pub fn get(number: u32) i64 {
    const key = keyOf(number);
    return load(&key).numbers[number % 4];
}

pub fn set(number: u32, value: i64) void {
    const key = keyOf(number);
    var cells = load(&key);
    cells.numbers[number % 4] = value;
    ethereum.storageStore(&key, &cells.bytes);
}
