/* Numbers of 64 bits in 32-byte values by 32-byte keys. Each value holds four, as linear storage has them. */
#include <storagemod.h>

typedef union {
  ethereum_bytes32 bytes;
  int64_t numbers[4];
} cells;

static ethereum_bytes32 key_of(uint32_t number) {
  uint32_t slot = number / 4;
  return (ethereum_bytes32){.bytes = {[30] = (uint8_t)(slot >> 8), [31] = (uint8_t)slot}};
}

static int64_t get(uint32_t number) {
  ethereum_bytes32 key = key_of(number);
  cells found;
  ethereum_storageLoad(&key, &found.bytes);
  return found.numbers[number % 4];
}

static void set(uint32_t number, int64_t value) {
  ethereum_bytes32 key = key_of(number);
  cells changed;
  ethereum_storageLoad(&key, &changed.bytes);
  changed.numbers[number % 4] = value;
  ethereum_storageStore(&key, &changed.bytes);
}
