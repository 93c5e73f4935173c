//! Storage behind functions, each by itself.

const storage = @import("storagemod").storage;

export fn load(offset: u32) i64 {
    return storage.load_i64(offset);
}

export fn store(offset: u32, value: i64) void {
    storage.store_i64(offset, value);
}

export fn narrow(offset: u32) i64 {
    return storage.load_i64_8_s(offset) + storage.load_i32_16_u(offset);
}

export fn size() u32 {
    return storage.size();
}

export fn grow(pages: u32) i32 {
    return storage.grow(pages);
}

/// Swap two neighbours of 8 bytes.
export fn swap(offset: u32) void {
    var numbers: [2]u64 = undefined;
    storage.copy_out(&numbers, offset, 16);
    const first = numbers[0];
    numbers[0] = numbers[1];
    numbers[1] = first;
    storage.copy_in(&numbers, offset, 16);
}
