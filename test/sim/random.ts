/**
 * Randomness from one seed, in separate streams: what one purpose draws does not shift what another does. xoshiro128**
 * (Blackman and Vigna), seeded by SplitMix64. Nothing here uses `Math.log` and its like, whose last bits differ between
 * engines.
 */

const twoTo32 = 0x1_0000_0000;
const mask64 = 0xffff_ffff_ffff_ffffn;

export class Random {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  /** `stream` names the purpose. */
  constructor(seed: bigint, stream: string) {
    let state = seed & mask64;
    for (const character of stream) {
      state = splitMix((state ^ BigInt(character.charCodeAt(0))) & mask64);
    }
    const first = splitMix(state);
    const second = splitMix((state + 0x9e3779b97f4a7c15n) & mask64);
    this.#a = Number(first & 0xffff_ffffn) | 0;
    this.#b = Number(first >> 32n) | 0;
    this.#c = Number(second & 0xffff_ffffn) | 0;
    this.#d = Number(second >> 32n) | 1;
  }

  /** 32 random bits. */
  bits(): number {
    const product = Math.imul(this.#b, 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0;
    const shifted = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= shifted;
    this.#d = (this.#d << 11) | (this.#d >>> 21);
    return result;
  }

  /** Uniform in [0, 1). */
  readonly next = (): number => this.bits() / twoTo32;

  /** Uniform in 0…below - 1. */
  below(below: number): number {
    return Math.floor(this.next() * below);
  }

  /** A whole number, uniform in from…to. */
  whole(from: number, to: number): number {
    return from + this.below(to - from + 1);
  }

  /** Uniform in [from, to). */
  between(from: number, to: number): number {
    return from + this.next() * (to - from);
  }

  /** From `from` to `to`, each power of two in between as likely as the next. */
  scaled(from: number, to: number): number {
    let doublings = 0;
    for (let at = from; at * 2 <= to; at *= 2) doublings++;
    const low = from * 2 ** this.whole(0, doublings);
    return Math.min(to, this.between(low, low * 2));
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(from: readonly T[]): T {
    const picked = from[this.below(from.length)];
    if (picked === undefined) throw new RangeError("nothing to pick from");
    return picked;
  }

  /** A random order. */
  shuffled<T>(items: readonly T[]): T[] {
    const left = [...items];
    const order: T[] = [];
    while (left.length > 0) order.push(...left.splice(this.below(left.length), 1));
    return order;
  }

  /** Exponentially distributed. */
  exponential(mean: number): number {
    return -mean * logarithm((this.bits() + 1) / (twoTo32 + 1));
  }
}

function splitMix(state: bigint): bigint {
  let mixed = (state + 0x9e3779b97f4a7c15n) & mask64;
  mixed = ((mixed ^ (mixed >> 30n)) * 0xbf58476d1ce4e5b9n) & mask64;
  mixed = ((mixed ^ (mixed >> 27n)) * 0x94d049bb133111ebn) & mask64;
  return mixed ^ (mixed >> 31n);
}

/** The natural logarithm of a number in (0, 1], by additions and multiplications alone. */
export function logarithm(value: number): number {
  let mantissa = value;
  let halvings = 0;
  while (mantissa < 0.75) {
    mantissa *= 2;
    halvings++;
  }
  const ratio = (mantissa - 1) / (mantissa + 1);
  const square = ratio * ratio;
  let power = ratio;
  let sum = 0;
  for (let odd = 1; odd < 24; odd += 2) {
    sum += power / odd;
    power *= square;
  }
  return 2 * sum - halvings * 0.6931471805599453;
}
