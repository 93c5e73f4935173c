//! The counter, its storage in 32-byte values by 32-byte keys.

comptime {
    _ = @import("counter.zig").Counter(@import("cells_keyed.zig"));
}
