/* A token as contracts of Ethereum offer it (ERC-20), on 32-byte keys and values, which are where a Solidity contract
 *
 *     mapping(address => uint256) balances; mapping(address => mapping(address => uint256)) allowances; uint256 supply;
 *
 * would have them. Its one entry point is `main`: call data are a selector of four bytes and words of 32 bytes.
 */
#include "keccak.h"

typedef ethereum_bytes32 word; /* big-endian, as call data, keys and values have numbers */
typedef ethereum_u256 amount;

enum { BALANCES = 0, ALLOWANCES = 1, SUPPLY = 2 };

enum {
  TOTAL_SUPPLY = 0x18160ddd,
  BALANCE_OF = 0x70a08231,
  TRANSFER = 0xa9059cbb,
  TRANSFER_FROM = 0x23b872dd,
  APPROVE = 0x095ea7b3,
  ALLOWANCE = 0xdd62ed3e
};

static _Noreturn void refuse(const char *reason) { ethereum_revert(reason, (uint32_t)__builtin_strlen(reason)); }

/* Numbers. */

static amount number(uint64_t value) { return (amount){.words = {value}}; }

/* The sum, or the difference where the second is the complement of what is taken away, and 1 is carried in. */
static amount sum(amount a, amount b, bool carry) {
  amount result;
  for (int i = 0; i < 4; i++) {
    unsigned __int128 both = (unsigned __int128)a.words[i] + b.words[i] + carry;
    result.words[i] = (uint64_t)both;
    carry = (bool)(both >> 64);
  }
  return result;
}

static amount add(amount a, amount b) { return sum(a, b, false); }

static amount subtract(amount a, amount b) {
  for (int i = 0; i < 4; i++) b.words[i] = ~b.words[i];
  return sum(a, b, true);
}

static bool is_less(amount a, amount b) {
  for (int i = 3; i > 0; i--)
    if (a.words[i] != b.words[i]) return a.words[i] < b.words[i];
  return a.words[0] < b.words[0];
}

static word word_of(amount from) {
  word result;
  for (int i = 0; i < 32; i++) result.bytes[31 - i] = (uint8_t)(from.words[i / 8] >> (i % 8 * 8));
  return result;
}

static amount amount_of(const word *from) {
  amount result = {0};
  for (int i = 0; i < 32; i++) result.words[i / 8] |= (uint64_t)from->bytes[31 - i] << (i % 8 * 8);
  return result;
}

static word word_of_address(const ethereum_address *account) {
  word result = {0};
  for (int i = 0; i < 20; i++) result.bytes[12 + i] = account->bytes[i];
  return result;
}

static word caller(void) {
  ethereum_address account;
  ethereum_getCaller(&account);
  return word_of_address(&account);
}

/* Storage. */

static word entry(word mapping, word key) {
  word both[2] = {key, mapping};
  return keccak256(both[0].bytes, sizeof both);
}

static word balance_key(word account) { return entry(word_of(number(BALANCES)), account); }
static word allowance_key(word owner, word spender) {
  return entry(entry(word_of(number(ALLOWANCES)), owner), spender);
}

static amount get(word key) {
  word value;
  ethereum_storageLoad(&key, &value);
  return amount_of(&value);
}

static void set(word key, amount to) {
  word value = word_of(to);
  ethereum_storageStore(&key, &value);
}

/* Call data and output. */

static word argument(uint32_t index, uint32_t of) {
  word result;
  if (ethereum_getCallDataSize() != 4 + 32 * of) refuse("wrong length of call data");
  ethereum_callDataCopy(&result, 4 + 32 * index, sizeof result);
  return result;
}

static word account_argument(uint32_t index, uint32_t of) {
  word account = argument(index, of);
  for (int i = 0; i < 12; i++)
    if (account.bytes[i]) refuse("not an address");
  return account;
}

static amount amount_argument(uint32_t index, uint32_t of) {
  word given = argument(index, of);
  return amount_of(&given);
}

static _Noreturn void answer(amount with) {
  word output = word_of(with);
  ethereum_finish(&output, sizeof output);
}

static void tell(const char *event, word first, word second, amount what) {
  word data = word_of(what);
  word topic = keccak256((const uint8_t *)event, __builtin_strlen(event));
  ethereum_log(&data, sizeof data, 3, &topic, &first, &second, NULL);
}

/* What it does. */

static void move(word from, word to, amount what) {
  amount balance = get(balance_key(from));
  if (is_less(balance, what)) refuse("balance too low");
  set(balance_key(from), subtract(balance, what));
  set(balance_key(to), add(get(balance_key(to)), what)); /* no more than the supply */
  tell("Transfer(address,address,uint256)", from, to, what);
}

static void transfer_from(word from, word to, amount what) {
  word key = allowance_key(from, caller());
  amount allowance = get(key);
  if (is_less(allowance, what)) refuse("allowance too low");
  set(key, subtract(allowance, what));
  move(from, to, what);
}

static void approve(word spender, amount what) {
  word owner = caller();
  set(allowance_key(owner, spender), what);
  tell("Approval(address,address,uint256)", owner, spender, what);
}

STORAGEMOD_EXPORT(main) void run(void) {
  ethereum_u128 value;
  ethereum_getCallValue(&value);
  if (value) refuse("takes no value");

  uint8_t selector[4];
  if (ethereum_getCallDataSize() < sizeof selector) refuse("no selector");
  ethereum_callDataCopy(selector, 0, sizeof selector);
  switch ((uint32_t)selector[0] << 24 | selector[1] << 16 | selector[2] << 8 | selector[3]) {
    case TOTAL_SUPPLY:
      answer(get(word_of(number(SUPPLY))));
    case BALANCE_OF:
      answer(get(balance_key(account_argument(0, 1))));
    case ALLOWANCE:
      answer(get(allowance_key(account_argument(0, 2), account_argument(1, 2))));
    case TRANSFER:
      move(caller(), account_argument(0, 2), amount_argument(1, 2));
      answer(number(1));
    case TRANSFER_FROM:
      transfer_from(account_argument(0, 3), account_argument(1, 3), amount_argument(2, 3));
      answer(number(1));
    case APPROVE:
      approve(account_argument(0, 2), amount_argument(1, 2));
      answer(number(1));
    default:
      refuse("no such method");
  }
}
