/* The counter of wat/counter/counter.wat, in C. The file that includes this chooses how cells are stored. */
enum { COUNT = 0 };

STORAGEMOD_EXPORT(get) int64_t counter_get(void) { return get(COUNT); }

STORAGEMOD_EXPORT(add) int64_t counter_add(int64_t n) {
  set(COUNT, (int64_t)((uint64_t)get(COUNT) + (uint64_t)n)); /* wraps */
  return get(COUNT);
}

STORAGEMOD_EXPORT(increment) int64_t counter_increment(void) { return counter_add(1); }
