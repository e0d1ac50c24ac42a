/** Invariants that stay on in production. A broken one stops the replica: see `replica.ts`. */

/** An invariant of the code itself did not hold. Never caught to carry on: it halts the process. */
export class InvariantViolation extends Error {
  override readonly name = "InvariantViolation";
}

/**
 * States an invariant.
 *
 * @example
 * ```ts
 * const [match, last] = [3, 5];
 * invariant(match <= last, `match ${match} is beyond the log's end ${last}`);
 * ```
 * @throws {InvariantViolation} when `condition` is false.
 */
export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition) throw new InvariantViolation(message);
}

/** Marks a branch that the types exclude, so that a new case does not compile until it is handled. */
export function unreachable(value: never): never {
  throw new InvariantViolation(`unreachable: ${JSON.stringify(value)}`);
}
