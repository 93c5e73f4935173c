//! Numbers of 64 bits, mapped into memory: an array like any other.

const Paged = @import("storagemod").Paged;

var cells: Paged([8192]i64) = .{};
var is_mapped = false; // memory is fresh in every call, re-entrant calls included

fn mapped() *[8192]i64 {
    if (!is_mapped) cells.map(0);
    is_mapped = true;
    return &cells.value;
}

pub fn get(number: u32) i64 {
    return mapped()[number];
}

pub fn set(number: u32, value: i64) void {
    mapped()[number] = value;
}
