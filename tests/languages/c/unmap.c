/* Counts in a page of storage, which it maps and unmaps again. */
#include <storagemod.h>

struct STORAGEMOD_PAGED page {
  int64_t count;
};
static struct page page;

/* The count in thousands, and what is seen of it once it is unmapped. */
STORAGEMOD_EXPORT(count) int64_t count(void) {
  STORAGEMOD_MAP(page, 4096);
  int64_t counted = ++page.count;
  ethereum_storageUnmap(&page);
  return 1000 * counted + page.count;
}

STORAGEMOD_EXPORT(size) uint64_t size(void) { return ethereum_storageSize(); }
