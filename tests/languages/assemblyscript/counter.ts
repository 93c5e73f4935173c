// The counter of wat/counter/counter.wat, in AssemblyScript. The file that uses it chooses how cells are stored: C is a
// class of cells, whose methods need no object.

const COUNT: u32 = 0;

export function get<C>(): i64 {
  return changetype<C>(0).get(COUNT);
}

export function add<C>(n: i64): i64 {
  changetype<C>(0).set(COUNT, get<C>() + n); // wraps
  return get<C>();
}

export function increment<C>(): i64 {
  return add<C>(1);
}
