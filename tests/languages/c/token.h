/* The token of wat/token/token.wat, in C: it calls the exchange when it receives tokens, and the exchange calls back. The
 * file that includes this chooses how cells are stored.
 */
enum { SUPPLY = 0, BALANCES = 8, ACCOUNTS_MAX = 8184, EXCHANGE = 0 };

STORAGEMOD_IMPORT("contract:exchange", "on_received?") int32_t exchange_on_received(uint32_t from, int64_t amount);

static void require(bool condition) {
  if (!condition) ethereum_revert(NULL, 0);
}

STORAGEMOD_EXPORT(supply) int64_t token_supply(void) { return get(SUPPLY); }

STORAGEMOD_EXPORT(balance_of) int64_t token_balance_of(uint32_t account) {
  require(account < ACCOUNTS_MAX);
  return get(BALANCES + account);
}

/* Add to a balance, or take from it where the amount is negative. */
static void change_balance(uint32_t account, int64_t amount) {
  set(BALANCES + account, token_balance_of(account) + amount);
}

STORAGEMOD_EXPORT(mint) void token_mint(uint32_t to, int64_t amount) {
  int64_t sum;
  require(amount >= 0);
  require(!__builtin_add_overflow(get(SUPPLY), amount, &sum));
  change_balance(to, amount);
  set(SUPPLY, sum);
}

STORAGEMOD_EXPORT(transfer) int64_t token_transfer(uint32_t from, uint32_t to, int64_t amount) {
  require(amount >= 0);
  require(token_balance_of(from) >= amount);
  change_balance(from, -amount);
  change_balance(to, amount);
  /* The books are in order, so others may be called, and may call back. */
  if (to == EXCHANGE && from != EXCHANGE) require(exchange_on_received(from, amount) == ETHEREUM_OK);
  /* Read only now: the exchange may have sent change. */
  return token_balance_of(from);
}
