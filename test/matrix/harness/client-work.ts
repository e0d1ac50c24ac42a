/**
 * What a program does with the client library, under whichever runtime: it counts, alone, in batches and in
 * transactions; watches its own counter; and changes a value that only a lock protects. It prints what came of it.
 */
import process from "node:process";
import { connect } from "../../../src/client/mod.ts";

interface Work {
  readonly endpoints: readonly string[];
  readonly name: string;
  readonly rounds: number;
  readonly lockedRounds: number;
  /** It goes no further than this round before the key "go" is there. */
  readonly pauseAt: number;
}

const { endpoints, name, rounds, lockedRounds, pauseAt }: Work = JSON.parse(
  process.argv[2] ?? "{}",
);
let retries = 0;
const client = connect({ endpoints, timeoutMs: 60_000, onRetry: () => retries++ });
const own = `own/${name}`;
/** Adds in each round: by itself, in a batch of three, in a transaction. */
const ADDS_A_ROUND = 5;

async function count(): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    if (round === pauseAt) await isTold("go");
    await client.add("all", 1);
    await Promise.all([client.add("all", 1), client.add(own, 1), client.add("all", 1)]);
    await client.transaction()
      .then({ add: { key: "all", delta: 1 } }, { add: { key: "all", delta: 1 } })
      .commit();
  }
}

async function isTold(key: string): Promise<void> {
  for await (const { events } of client.watch({ key, from: 1 })) if (events.length > 0) return;
}

/** The values of the program's own counter, as a watch tells them. */
async function watchOwn(): Promise<number[]> {
  const values: number[] = [];
  for await (const { events } of client.watch({ key: own, from: 1 })) {
    for (const event of events) {
      if (event.type === "put") values.push(Number(new TextDecoder().decode(event.item.value)));
    }
    if (values.length >= rounds) break;
  }
  return values;
}

async function changeLocked(): Promise<number[]> {
  const tokens: number[] = [];
  for (let round = 0; round < lockedRounds; round++) {
    await using lock = await client.lock("lock", { ttlMs: 15_000 });
    const item = await client.get("guarded");
    const value = item === null ? 0 : Number(new TextDecoder().decode(item.value));
    await client.put("guarded", String(value + 1));
    if (lock.lost.aborted) throw new Error("the lock was lost");
    tokens.push(lock.fencingToken);
  }
  return tokens;
}

const [, watched, tokens] = await Promise.all([count(), watchOwn(), changeLocked()]);
process.stdout.write(
  `${JSON.stringify({ added: rounds * ADDS_A_ROUND, watched, tokens, retries })}\n`,
);
