//! The counter, its storage behind the functions of the storage module.

comptime {
    _ = @import("counter.zig").Counter(@import("cells_methods.zig"));
}
