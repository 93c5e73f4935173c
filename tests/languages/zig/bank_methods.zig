//! The bank, its storage behind the functions of the storage module.

comptime {
    _ = @import("bank.zig").Bank(@import("cells_methods.zig"));
}
