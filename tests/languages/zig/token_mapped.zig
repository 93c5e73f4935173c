//! The token, its storage mapped into memory.

comptime {
    _ = @import("token.zig").Token(@import("cells_mapped.zig"));
}
