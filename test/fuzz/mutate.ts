/** Inputs made of inputs. */
import type { Random } from "../sim/random.ts";

/** An input is no longer than this. */
export const inputBytesMax: number = 16 * 1024;

/** Bytes that mean something to somebody: ends of ranges, and heads of CBOR's items. */
const bytes = [0, 1, 0x17, 0x18, 0x1b, 0x40, 0x58, 0x5a, 0x60, 0x7f, 0x80, 0x9f, 0xa0, 0xbf, 0xff];
/** Numbers of 32 bits that lengths and counts are least prepared for. */
const numbers = [0, 1, 0x7f, 0xff, 0xffff, 0x1_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];

/** `input` with one to six changes; `other` lends parts, and so do `words`. */
export function mutated(
  random: Random,
  input: Uint8Array,
  other: Uint8Array,
  words: readonly Uint8Array[],
): Uint8Array {
  let changed = input;
  for (let left = random.whole(1, 6); left > 0; left--) {
    changed = changedOnce(random, changed, other, words).subarray(0, inputBytesMax);
  }
  return changed;
}

function changedOnce(
  random: Random,
  input: Uint8Array,
  other: Uint8Array,
  words: readonly Uint8Array[],
): Uint8Array {
  const at = random.below(input.length + 1);
  const length = random.below(Math.min(input.length - at, 32) + 1);
  switch (random.below(9)) {
    case 0:
      return written(input, at, [(input[at] ?? 0) ^ (1 << random.below(8))]);
    case 1:
      return written(input, at, [bytes[random.below(bytes.length)] ?? 0]);
    case 2:
      return written(input, at, [random.below(256)]);
    case 3:
      return written(input, at, number(random));
    case 4:
      return spliced(input, at, length, new Uint8Array(0));
    case 5:
      return spliced(input, at, 0, input.subarray(at, at + length));
    case 6:
      return spliced(input, at, length, part(random, other));
    case 7:
      return spliced(input, at, 0, words[random.below(words.length)] ?? part(random, other));
    default:
      return input.subarray(0, at);
  }
}

/** Big endian or little. */
function number(random: Random): number[] {
  const value = numbers[random.below(numbers.length)] ?? 0;
  const big = [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
  return random.below(2) === 0 ? big : big.toReversed();
}

function part(random: Random, other: Uint8Array): Uint8Array {
  const from = random.below(other.length + 1);
  return other.subarray(from, from + random.below(64));
}

function written(input: Uint8Array, at: number, values: readonly number[]): Uint8Array {
  const changed = input.slice();
  changed.set(values.slice(0, Math.max(0, input.length - at)), at);
  return changed;
}

function spliced(input: Uint8Array, at: number, length: number, inserted: Uint8Array): Uint8Array {
  const changed = new Uint8Array(input.length - length + inserted.length);
  changed.set(input.subarray(0, at));
  changed.set(inserted, at);
  changed.set(input.subarray(at + length), at + inserted.length);
  return changed;
}
