/** Commands drawn at random, so that they meet on few keys, leases and sessions. */
import { encodeCommand } from "../../src/kv/command-codec.ts";
import {
  type Check,
  type Command,
  comparisonOps,
  type Condition,
  defaultContentType,
  type Operation,
  type PutExtras,
} from "../../src/kv/command.ts";
import { bytes } from "./machines.ts";

type Random = (below: number) => number;

export const keys: readonly string[] = ["\0", "a", "a/b", "a/c", "b", "n", "n/1", "z", "\xff"];
const texts = [
  "",
  "x",
  "5",
  "-7",
  "0",
  "-0",
  "007",
  "+1",
  " 1",
  "9223372036854775807",
  "-9223372036854775808",
  "9223372036854775808",
  "99999999999999999999",
];

/** One of `choices`. */
export function pick<T>(random: Random, choices: readonly T[]): T {
  return choices[random(choices.length)]!;
}

function several<T>(random: Random, max: number, draw: () => T): T[] {
  return Array.from({ length: random(max + 1) }, draw);
}

/** What commands are drawn to meet. */
interface Around {
  readonly revision: number;
  readonly nextLease: number;
}

function leaseOf(random: Random, { nextLease }: Around): number {
  return Math.max(1, nextLease - random(6));
}

function valueOf(random: Random): Uint8Array {
  if (random(80) === 0) return new Uint8Array(60_000 + random(60_000)).fill(random(256));
  return random(3) > 0 ? bytes(pick(random, texts)) : new Uint8Array(random(80)).fill(random(256));
}

function extrasOf(random: Random, around: Around): { extras?: PutExtras } {
  if (random(3) > 0) return {};
  const metadata = random(2) > 0 ? null : new Uint8Array(random(30)).fill(1);
  const ttlMs = random(2) > 0 ? null : 1 + random(8) * 1000;
  return { extras: { metadata, ttlMs, lease: random(2) > 0 ? null : leaseOf(random, around) } };
}

function rangeOf(random: Random): { start: string; end: string | null } {
  const start = random(4) === 0 ? "" : pick(random, keys);
  return { start, end: random(3) === 0 ? null : pick(random, ["", ...keys]) };
}

function operationOf(random: Random, around: Around): Operation {
  const key = pick(random, keys);
  const choice = random(20);
  if (choice < 6) {
    const contentType = pick(random, [defaultContentType, "text/plain"]);
    return { type: "put", key, value: valueOf(random), contentType, ...extrasOf(random, around) };
  }
  if (choice < 9) return { type: "delete", key };
  if (choice < 10) return { type: "deleteRange", ...rangeOf(random) };
  if (choice < 15) {
    const bound = () => random(4) > 0 ? null : BigInt(random(40)) - 20n;
    const delta = random(4) > 0
      ? BigInt(random(20)) - 10n
      : pick(random, [2n ** 62n, -(2n ** 63n)]);
    return { type: "add", key, delta, min: bound(), max: bound() };
  }
  if (choice < 17) return { type: "get", key };
  return {
    type: "list",
    ...rangeOf(random),
    reverse: random(2) > 0,
    limit: 1 + random(8),
    values: random(3) > 0,
  };
}

function checkOf(random: Random, { revision }: Around): Check {
  const key = pick(random, keys);
  const op = pick(random, comparisonOps);
  switch (random(4)) {
    case 0:
      return { type: "exists", key, exists: random(2) > 0 };
    case 1:
      return { type: "value", key, op, operand: bytes(pick(random, texts)) };
    case 2:
      return { type: "version", key, op, operand: random(4) };
    default:
      return {
        type: pick(random, ["revision", "created"] as const),
        key,
        op,
        operand: Math.max(0, revision - random(10)),
      };
  }
}

function conditionOf(random: Random, { revision }: Around): Condition {
  const type = pick(random, ["exists", "absent", "revision", "notRevision"] as const);
  if (type === "exists" || type === "absent") return { type };
  return { type, revisions: several(random, 4, () => Math.max(0, revision - random(12))) };
}

/** Any but a keyed one. */
function plainOf(random: Random, around: Around): Command {
  const conditions = random(3) > 0 ? [] : several(random, 2, () => conditionOf(random, around));
  const operation = operationOf(random, around);
  if (random(3) > 0 && (operation.type === "put" || operation.type === "delete")) {
    return { ...operation, conditions };
  }
  switch (random(8)) {
    case 0:
      return { type: "deleteRange", ...rangeOf(random) };
    case 1:
      return { type: "grant", ttlMs: 1 + random(20) * 1000 };
    case 2:
      return {
        type: pick(random, ["keepAlive", "revoke"] as const),
        lease: leaseOf(random, around),
      };
    case 3:
    case 4: {
      const draw = () => ({
        checks: random(2) > 0 ? [] : several(random, 2, () => checkOf(random, around)),
        operation: operationOf(random, around),
      });
      return { type: "batch", items: several(random, 5, draw) };
    }
    default:
      return {
        type: "transaction",
        checks: random(2) > 0 ? [] : several(random, 2, () => checkOf(random, around)),
        then: several(random, 6, () => operationOf(random, around)),
        else: several(random, 3, () => operationOf(random, around)),
      };
  }
}

export function commandOf(random: Random, around: Around): Command {
  switch (random(12)) {
    case 0:
      return { type: "expire" };
    case 1:
      if (random(4) > 0) return { type: "expire" };
      if (random(4) === 0) return { type: "upgrade", version: pick(random, [1, 2]) };
      return {
        type: "configure",
        history: {
          revisionsMax: pick(random, [1, 5, 30, 1000]),
          bytesMax: pick(random, [0, 300, 3000, 200_000]),
        },
      };
    case 2:
    case 3:
    case 4: {
      const number = random(12);
      return {
        type: "keyed",
        session: pick(random, ["s", "t", "s t", "~"]),
        number,
        done: random(3) > 0 ? 0 : random(12),
        command: encodeCommand(plainOf(random, around)).slice(),
      };
    }
    default:
      return plainOf(random, around);
  }
}
