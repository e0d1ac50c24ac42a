/** Requests of many operations: the bytes that go out, made before the start and sent again and again. */
import { encodeCbor } from "../src/cbor.ts";
import { keyOf, type Measured, valueOf, type Work } from "./workload.ts";

export type BulkMethod = "batch" | "transaction";

/** One measurement of such requests. */
export interface BulkWork extends Omit<Work, "method"> {
  readonly method: BulkMethod;
}

/** Sends work to one URL of a store that speaks Holdfast's routes. */
export type Driver = (url: string, work: Work | BulkWork) => Promise<Measured>;

export function isBulk(work: Work | BulkWork): work is BulkWork {
  return work.method === "batch" || work.method === "transaction";
}

/** Puts in one request. */
export const putsIn: Readonly<Record<BulkMethod, number>> = { batch: 100, transaction: 2 };

/** How many different requests put each key once. */
export function requestsIn({ method, keys }: Pick<BulkWork, "method" | "keys">): number {
  return Math.floor(keys / putsIn[method]);
}

/** The document of request `n`: a transaction checks one of the keys that it puts. `spell` puts down values. */
export function documentOf(
  { method, stamp, valueBytes }: BulkWork,
  n: number,
  spell: (value: string) => unknown = (value) => value,
): object {
  const puts = Array.from({ length: putsIn[method] }, (_, at) => {
    const key = n * putsIn[method] + at;
    return { put: { key: keyOf(key), value: spell(valueOf(key, stamp, valueBytes)) } };
  });
  if (method === "batch") return { ops: puts };
  return { if: [{ key: puts[0]?.put.key, exists: true }], then: puts };
}

/** Where such requests are posted. */
export const pathOf: Readonly<Record<BulkMethod, string>> = {
  batch: "/v1/batch",
  transaction: "/v1/txn",
};

/** Every request, as it goes over the wire. CBOR in and out, as clients that are in a hurry have it. */
export function bulkRequests(work: BulkWork, url: string): Uint8Array[] {
  const { host } = new URL(url);
  const encoder = new TextEncoder();
  return Array.from({ length: requestsIn(work) }, (_, n) => {
    const body = encodeCbor(documentOf(work, n, (value) => encoder.encode(value)));
    const head = `POST ${pathOf[work.method]} HTTP/1.1\r\nhost: ${host}\r\n` +
      `content-type: application/cbor\r\naccept: application/cbor\r\n` +
      `content-length: ${body.length}\r\n\r\n`;
    return Buffer.concat([Buffer.from(head), body]);
  });
}
