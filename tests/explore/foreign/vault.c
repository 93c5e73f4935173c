/* A vault as contracts for ewasm are: `main` and `memory` are its only exports, call data are a selector of four bytes
 * and words of 32 bytes, and storage is 32-byte values by 32-byte keys. What an account has stands by its address, and the
 * sum by the key 0.
 *
 * The fault: it pays before it writes. The twin in the tests swaps the lines that are marked.
 */
#include <storagemod.h>

typedef ethereum_bytes32 word; /* big-endian */
typedef ethereum_u128 amount;

enum { DEPOSIT = 0xd0e30db0, WITHDRAW = 0x2e1a7d4d, TOTAL_SUPPLY = 0x18160ddd, BALANCE_OF = 0x70a08231 };

static _Noreturn void refuse(void) { ethereum_revert(NULL, 0); }

static amount amount_of(const word *from) {
  amount result = 0;
  for (int i = 16; i < 32; i++) result = result << 8 | from->bytes[i];
  return result;
}

static word word_of(amount from) {
  word result = {0};
  for (int i = 31; i > 15; i--, from >>= 8) result.bytes[i] = (uint8_t)from;
  return result;
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

static word argument(void) {
  word result;
  if (ethereum_getCallDataSize() != 4 + sizeof result) refuse();
  ethereum_callDataCopy(&result, 4, sizeof result);
  return result;
}

static _Noreturn void answer(amount with) {
  word output = word_of(with);
  ethereum_finish(&output, sizeof output);
}

static void pay(const ethereum_address *to, amount what) {
  if (ethereum_call(INT64_MAX, to, &what, NULL, 0) != ETHEREUM_OK) refuse();
}

static void withdraw(const ethereum_address *to, word owner, amount what) {
  amount has = get(owner);
  if (what == 0 || what > has) refuse();
  pay(to, what);                /* pay */
  set(owner, has - what);       /* write */
  set(word_of(0), get(word_of(0)) - what);
}

STORAGEMOD_EXPORT(main) void run(void) {
  ethereum_address caller;
  ethereum_getCaller(&caller);
  word owner = {0};
  for (int i = 0; i < 20; i++) owner.bytes[12 + i] = caller.bytes[i];

  amount value;
  ethereum_getCallValue(&value);

  uint8_t selector[4];
  if (ethereum_getCallDataSize() < sizeof selector) refuse();
  ethereum_callDataCopy(selector, 0, sizeof selector);
  uint32_t method = (uint32_t)selector[0] << 24 | selector[1] << 16 | selector[2] << 8 | selector[3];
  if (value && method != DEPOSIT) refuse();
  switch (method) {
    case DEPOSIT:
      set(owner, get(owner) + value);
      set(word_of(0), get(word_of(0)) + value);
      return;
    case WITHDRAW: {
      word given = argument();
      for (int i = 0; i < 16; i++)
        if (given.bytes[i]) refuse();
      withdraw(&caller, owner, amount_of(&given));
      return;
    }
    case TOTAL_SUPPLY:
      answer(get(word_of(0)));
    case BALANCE_OF:
      answer(get(argument()));
    default:
      refuse();
  }
}
