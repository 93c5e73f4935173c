//! The bank, its storage in 32-byte values by 32-byte keys.

comptime {
    _ = @import("bank.zig").Bank(@import("cells_keyed.zig"));
}
