//! The bank, its storage mapped into memory.

comptime {
    _ = @import("bank.zig").Bank(@import("cells_mapped.zig"));
}
