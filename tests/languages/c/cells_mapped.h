/* Numbers of 64 bits, mapped into memory: an array like any other. */
#include <storagemod.h>

struct STORAGEMOD_PAGED cells {
  int64_t numbers[8192];
};

static int64_t *cells(void) {
  static struct cells mapped;
  static bool is_mapped; /* memory is fresh in every call, re-entrant calls included */
  if (!is_mapped) STORAGEMOD_MAP(mapped, 0);
  is_mapped = true;
  return mapped.numbers;
}

static int64_t get(uint32_t number) { return cells()[number]; }
static void set(uint32_t number, int64_t value) { cells()[number] = value; }
