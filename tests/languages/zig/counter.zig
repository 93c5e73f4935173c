//! The counter of wat/counter/counter.wat, in Zig. The file that uses it chooses how cells are stored.

const count = 0;

pub fn Counter(comptime cells: type) type {
    return struct {
        fn get() callconv(.c) i64 {
            return cells.get(count);
        }

        fn add(n: i64) callconv(.c) i64 {
            cells.set(count, cells.get(count) +% n); // wraps
            return cells.get(count);
        }

        fn increment() callconv(.c) i64 {
            return add(1);
        }

        comptime {
            @export(&get, .{ .name = "get" });
            @export(&add, .{ .name = "add" });
            @export(&increment, .{ .name = "increment" });
        }
    };
}
