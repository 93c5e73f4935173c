//! The counter, its storage mapped into memory.

comptime {
    _ = @import("counter.zig").Counter(@import("cells_mapped.zig"));
}
