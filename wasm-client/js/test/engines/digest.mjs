// Many numbers, told as one.

export function digestOf() {
  let value = 0;
  return {
    /** A whole number. */
    mix(number) {
      value = Math.imul(value ^ number, 0x01000193);
      value = Math.imul((value >>> 15) ^ value ^ Math.floor(number / 2 ** 32), 0x2c1b3c6d);
    },
    value: () => value >>> 0,
  };
}
