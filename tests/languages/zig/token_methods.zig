//! The token, its storage behind the functions of the storage module.

comptime {
    _ = @import("token.zig").Token(@import("cells_methods.zig"));
}
