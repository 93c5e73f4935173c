/* Storage behind functions, each by itself. */
#include <storagemod.h>

STORAGEMOD_EXPORT(load) int64_t load(uint32_t offset) { return storage_load_i64(offset); }
STORAGEMOD_EXPORT(store) void store(uint32_t offset, int64_t value) { storage_store_i64(offset, value); }
STORAGEMOD_EXPORT(narrow) int64_t narrow(uint32_t offset) {
  return storage_load_i64_8_s(offset) + storage_load_i32_16_u(offset);
}
STORAGEMOD_EXPORT(size) uint32_t size(void) { return storage_size(); }
STORAGEMOD_EXPORT(grow) int32_t grow(uint32_t pages) { return storage_grow(pages); }

/* Swap two neighbours of 8 bytes. */
STORAGEMOD_EXPORT(swap) void swap(uint32_t offset) {
  uint8_t bytes[16];
  storage_copy_out(bytes, offset, sizeof bytes);
  for (int i = 0; i < 8; i++) {
    uint8_t first = bytes[i];
    bytes[i] = bytes[8 + i];
    bytes[8 + i] = first;
  }
  storage_copy_in(bytes, offset, sizeof bytes);
}
