//! Counts in a page of storage, which it maps and unmaps again.

const storagemod = @import("storagemod");

var page: storagemod.Paged(i64) = .{};

/// The count in thousands, and what is seen of it once it is unmapped.
export fn count() i64 {
    page.map(4096);
    page.value += 1;
    const counted = page.value;
    page.unmap();
    return 1000 * counted + page.value;
}

export fn size() u64 {
    return storagemod.ethereum.storageSize();
}
