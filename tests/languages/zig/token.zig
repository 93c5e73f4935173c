//! The token of wat/token/token.wat, in Zig: it calls the exchange when it receives tokens, and the exchange calls back.
//! The file that uses it chooses how cells are stored.

const storagemod = @import("storagemod");

// An identifier cannot be called `on_received?`, so it is imported by a string.
const onReceived = @extern(*const fn (from: u32, amount: i64) callconv(.c) i32, .{
    .name = "on_received?",
    .library_name = "contract:exchange",
});

const supply_at = 0;
const balances_at = 8;
const accounts_max = 8184;
const exchange = 0;

fn require(condition: bool) void {
    if (!condition) storagemod.ethereum.revert(null, 0);
}

pub fn Token(comptime cells: type) type {
    return struct {
        fn supply() callconv(.c) i64 {
            return cells.get(supply_at);
        }

        fn balanceOf(account: u32) callconv(.c) i64 {
            require(account < accounts_max);
            return cells.get(balances_at + account);
        }

        /// Add to a balance, or take from it where the amount is negative.
        fn changeBalance(account: u32, amount: i64) void {
            const before = balanceOf(account); // first: it refuses numbers whose place would overflow
            cells.set(balances_at + account, before + amount);
        }

        fn mint(to: u32, amount: i64) callconv(.c) void {
            require(amount >= 0);
            const sum, const overflows = @addWithOverflow(supply(), amount);
            require(overflows == 0);
            changeBalance(to, amount);
            cells.set(supply_at, sum);
        }

        fn transfer(from: u32, to: u32, amount: i64) callconv(.c) i64 {
            require(amount >= 0);
            require(balanceOf(from) >= amount);
            changeBalance(from, -amount);
            changeBalance(to, amount);
            // The books are in order, so others may be called, and may call back.
            if (to == exchange and from != exchange) require(onReceived(from, amount) == storagemod.ok);
            // Read only now: the exchange may have sent change.
            return balanceOf(from);
        }

        comptime {
            @export(&supply, .{ .name = "supply" });
            @export(&balanceOf, .{ .name = "balance_of" });
            @export(&mint, .{ .name = "mint" });
            @export(&transfer, .{ .name = "transfer" });
        }
    };
}
