/* Finishes with its caller, the value that came with the call, its own address and the call data, and logs the data. */
#include <storagemod.h>

struct output {
  ethereum_address caller;
  uint8_t value[16];
  ethereum_address self;
  uint8_t data[64];
};

STORAGEMOD_EXPORT(main) void run(void) {
  struct output output;
  ethereum_u128 value;
  uint32_t length = ethereum_getCallDataSize();
  if (length == 0) ethereum_revert("no data", 7);
  if (length > sizeof output.data) length = sizeof output.data;
  ethereum_getCaller(&output.caller);
  ethereum_getCallValue(&value);
  for (int i = 0; i < 16; i++) output.value[i] = (uint8_t)(value >> 8 * i);
  ethereum_getAddress(&output.self);
  ethereum_callDataCopy(output.data, 0, length);
  ethereum_bytes32 topic = {.bytes = {7}};
  ethereum_log(output.data, length, 1, &topic, NULL, NULL, NULL);
  ethereum_finish(&output, offsetof(struct output, data) + length);
}
