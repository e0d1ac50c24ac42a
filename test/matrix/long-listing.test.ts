/** A listing of 100,000 keys, page by page under writes, is the store as it was at its first page's revision. */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import { Cluster, eventually, longSetups } from "./harness/cluster.ts";
import type { HttpAnswer, HttpClient, RequestOptions } from "./harness/http-client.ts";

const KEYS = 100_000;
const BATCH = 1000;
const PAGE = 1000;
/** Operations of one batch of the writers that are at work meanwhile. */
const CHANGES = 25;
/** So many at least are to come while it is listed. */
const CHANGES_MIN = 2000;

interface Batch {
  readonly results: readonly { readonly status: number; readonly revision: number }[];
}
interface Page {
  readonly revision: number;
  readonly items: readonly {
    readonly key: string;
    readonly value: string;
    readonly revision: number;
  }[];
  readonly cursor?: string;
}
/** One operation, and what became of it; `value` null is a delete. */
interface Change {
  readonly revision: number;
  readonly key: string;
  readonly value: string | null;
}

const keyOf = (n: number): string => `key/${String(n).padStart(6, "0")}`;

/** Asks until it is answered: a machine that has much else to do may be late. */
async function answered(
  http: HttpClient,
  url: string,
  options: RequestOptions = {},
): Promise<HttpAnswer> {
  const answer = await eventually(url, async () => {
    const one = await http.request(url, options);
    return [429, 503, 504].includes(one.status) ? undefined : one;
  }, 60_000);
  assert.equal(answer.status, 200, answer.text().slice(0, 500));
  return answer;
}

/** Does it by one batch, once; what it came to. */
async function write(
  http: HttpClient,
  url: string,
  changes: readonly Omit<Change, "revision">[],
): Promise<Change[]> {
  const ops = changes.map(({ key, value }) =>
    value === null ? { delete: { key } } : { put: { key, value } }
  );
  const answer = await answered(http, `${url}/v1/batch`, {
    method: "POST",
    body: JSON.stringify({ ops }),
    headers: { "idempotency-key": crypto.randomUUID() },
  });
  const { results } = answer.json() as Batch;
  return changes.map((change, at) => {
    const result = results[at];
    assert.ok(result !== undefined && result.status < 300);
    return { ...change, revision: result.revision };
  });
}

/** Puts, deletes and creates keys all over the range, until it is told to stop. */
async function disturb(
  { http, nodes }: Cluster,
  seed: number,
  stopping: AbortSignal,
  done: Change[],
): Promise<void> {
  for (let n = seed; !stopping.aborted; n += 2) {
    const url = nodes[n % nodes.length]?.url ?? "";
    const changes = Array.from({ length: CHANGES }, (_, at) => {
      const number = (n * 7919 + at * 3571) % KEYS;
      const kind = (n + at) % 4;
      const key = kind === 3 ? `${keyOf(number)}/new` : keyOf(number);
      return { key, value: kind === 2 ? null : `changed ${n} ${at}` };
    });
    done.push(...await write(http, url, changes));
  }
}

for (const { name, runtimes } of longSetups) {
  describe(`a listing of ${KEYS} keys (${name})`, () => {
    it("equals the store at its first page's revision, whatever is written meanwhile", async (t) => {
      await using cluster = await Cluster.start(runtimes);
      const { nodes, http } = cluster;
      const leader = await cluster.leader();
      const changes: Change[] = [];
      let started = performance.now();
      for (let from = 0; from < KEYS; from += BATCH) {
        const puts = Array.from({ length: BATCH }, (_, at) => ({
          key: keyOf(from + at),
          value: `value ${from + at}`,
        }));
        changes.push(...await write(http, leader.url, puts));
      }
      t.diagnostic(`${name}: loaded in ${Math.round(performance.now() - started)} ms`);

      started = performance.now();
      const stopping = new AbortController();
      const written: Change[] = [];
      const writers = [0, 1].map((seed) => disturb(cluster, seed, stopping.signal, written));
      const pages: Page[] = [];
      for (let query = ""; pages.length === 0 || query !== "";) {
        const url = nodes[pages.length % nodes.length]?.url ?? "";
        const answer = await answered(http, `${url}/v1/kv?prefix=key/&limit=${PAGE}${query}`);
        const page = answer.json() as Page;
        pages.push(page);
        const enough = Math.min(pages.length * CHANGES, CHANGES_MIN);
        await eventually(
          `${enough} changes`,
          () => Promise.resolve(written.length >= enough || undefined),
        );
        query = page.cursor === undefined ? "" : `&cursor=${page.cursor}`;
      }
      stopping.abort();
      await Promise.all(writers);
      const seconds = (performance.now() - started) / 1000;
      changes.push(...written);

      const revision = pages[0]?.revision ?? 0;
      const meanwhile = written.filter((change) => change.revision > revision).length;
      t.diagnostic(
        `${name}: ${pages.length} pages in ${seconds.toFixed(1)} s at revision ${revision}, ` +
          `${meanwhile} changes meanwhile`,
      );
      assert.ok(meanwhile > CHANGES_MIN / 2, `${meanwhile} changes meanwhile`);
      const found = pages.flatMap(({ items }) => items.map(({ key, value }) => [key, value]));
      for (const page of pages) assert.equal(page.revision, revision);
      assert.deepEqual(found, storeAt(revision, changes));
    });
  });
}

/** Keys and values after all changes up to a revision, in key order. */
function storeAt(revision: number, changes: readonly Change[]): (readonly [string, string])[] {
  const store = new Map<string, string>();
  const inOrder = changes.toSorted((a, b) => a.revision - b.revision);
  for (const change of inOrder) {
    if (change.revision > revision) break;
    if (change.value === null) store.delete(change.key);
    else store.set(change.key, change.value);
  }
  return [...store].toSorted(([a], [b]) => a < b ? -1 : 1);
}
