/* The bank of wat/bank/bank_fixed.wat, in C: it writes its books first and pays out afterwards. The file that includes
 * this chooses how cells are stored.
 */
enum { TOTAL = 0, BALANCES = 8, CUSTOMERS_MAX = 8184 };

/* Takes a payment; returns ETHEREUM_OK, ETHEREUM_FAILED or ETHEREUM_REVERTED. */
STORAGEMOD_IMPORT("contract:customer", "receive?") int32_t customer_receive(int64_t amount);

static void require(bool condition) {
  if (!condition) ethereum_revert(NULL, 0);
}

STORAGEMOD_EXPORT(total) int64_t bank_total(void) { return get(TOTAL); }

STORAGEMOD_EXPORT(balance) int64_t bank_balance(uint32_t who) {
  require(who < CUSTOMERS_MAX);
  return get(BALANCES + who);
}

STORAGEMOD_EXPORT(deposit) void bank_deposit(uint32_t who, int64_t amount) {
  int64_t sum;
  require(amount >= 0);
  require(!__builtin_add_overflow(get(TOTAL), amount, &sum));
  set(BALANCES + who, bank_balance(who) + amount);
  set(TOTAL, sum);
}

STORAGEMOD_EXPORT(withdraw) void bank_withdraw(uint32_t who) {
  int64_t amount = bank_balance(who);
  if (amount == 0) return;
  /* The books first: from here on a re-entrant call finds nothing left to withdraw. */
  set(BALANCES + who, 0);
  set(TOTAL, get(TOTAL) - amount);
  /* A payment that is not taken undoes the books with it. */
  require(customer_receive(amount) == ETHEREUM_OK);
}
