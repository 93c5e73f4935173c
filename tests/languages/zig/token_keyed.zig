//! The token, its storage in 32-byte values by 32-byte keys.

comptime {
    _ = @import("token.zig").Token(@import("cells_keyed.zig"));
}
