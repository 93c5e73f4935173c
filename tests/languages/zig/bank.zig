//! The bank of wat/bank/bank_fixed.wat, in Zig: it writes its books first and pays out afterwards. The file that uses it
//! chooses how cells are stored.

const storagemod = @import("storagemod");

// An identifier cannot be called `receive?`, so it is imported by a string.
const receive = @extern(*const fn (amount: i64) callconv(.c) i32, .{
    .name = "receive?",
    .library_name = "contract:customer",
});

const total_at = 0;
const balances_at = 8;
const customers_max = 8184;

fn require(condition: bool) void {
    if (!condition) storagemod.ethereum.revert(null, 0);
}

pub fn Bank(comptime cells: type) type {
    return struct {
        fn total() callconv(.c) i64 {
            return cells.get(total_at);
        }

        fn balance(who: u32) callconv(.c) i64 {
            require(who < customers_max);
            return cells.get(balances_at + who);
        }

        fn deposit(who: u32, amount: i64) callconv(.c) void {
            require(amount >= 0);
            const sum, const overflows = @addWithOverflow(total(), amount);
            require(overflows == 0);
            const before = balance(who); // first: it refuses numbers whose place would overflow
            cells.set(balances_at + who, before + amount);
            cells.set(total_at, sum);
        }

        fn withdraw(who: u32) callconv(.c) void {
            const amount = balance(who);
            if (amount == 0) return;
            // The books first: from here on a re-entrant call finds nothing left to withdraw.
            cells.set(balances_at + who, 0);
            cells.set(total_at, total() - amount);
            // A payment that is not taken undoes the books with it.
            require(receive(amount) == storagemod.ok);
        }

        comptime {
            @export(&total, .{ .name = "total" });
            @export(&balance, .{ .name = "balance" });
            @export(&deposit, .{ .name = "deposit" });
            @export(&withdraw, .{ .name = "withdraw" });
        }
    };
}
