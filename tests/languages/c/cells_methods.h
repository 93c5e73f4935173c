/* Numbers of 64 bits, behind the functions of the storage module. */
#include <storagemod.h>

static int64_t get(uint32_t number) { return storage_load_i64(8 * number); }
static void set(uint32_t number, int64_t value) { storage_store_i64(8 * number, value); }
