//! Finishes with its caller, the value that came with the call, its own address and the call data, and logs the data.

const storagemod = @import("storagemod");
const ethereum = storagemod.ethereum;

const Output = extern struct {
    caller: storagemod.Address,
    value: [16]u8,
    self: storagemod.Address,
    data: [64]u8,
};

export fn main() void {
    if (ethereum.getCallDataSize() == 0) ethereum.revert("no data", 7);
    const length = @min(ethereum.getCallDataSize(), 64);
    var output: Output = undefined;
    var value: u128 = undefined;
    ethereum.getCaller(&output.caller);
    ethereum.getCallValue(&value);
    output.value = @bitCast(value);
    ethereum.getAddress(&output.self);
    ethereum.callDataCopy(&output.data, 0, length);
    var topic: storagemod.Bytes32 = @splat(0);
    topic[0] = 7;
    ethereum.log(&output.data, length, 1, &topic, null, null, null);
    ethereum.finish(&output, @offsetOf(Output, "data") + length);
}
