/** Runs the load generator in a process of its own: one {@link Work} and its URL as JSON in, one {@link Measured} out. */
import process from "node:process";
import { requestBytes, runLoad } from "./load.ts";
import { bulkRequests, type BulkWork, isBulk } from "./bulk.ts";
import { keyOf, type Measured, quantile, valueOf, type Work } from "./workload.ts";

const task = JSON.parse(process.argv[2] ?? "") as (Work | BulkWork) & { readonly url: string };
const { url, method, stamp, valueBytes, outstanding, seconds: secondsMax } = task;
const made = isBulk(task) ? bulkRequests(task, url) : null;
const keys = made?.length ?? task.keys;
const requestOf = (n: number): Uint8Array => {
  const bulk = made?.[n];
  if (bulk !== undefined) return bulk;
  const path = `/v1/kv/${keyOf(n)}`;
  return method === "GET"
    ? requestBytes("GET", url, path)
    : requestBytes("PUT", url, path, Buffer.from(valueOf(n, stamp, valueBytes)));
};
const { succeeded, seconds, statuses, latencies } = await runLoad({
  urls: [url],
  connections: outstanding,
  secondsMax,
  request: (n) => requestOf(n % keys),
});
const answers = Object.values(statuses).reduce((sum, count) => sum + count, 0);
const measured: Measured = {
  perSecond: succeeded / seconds,
  mean: latencies.reduce((sum, latency) => sum + latency, 0) / latencies.length,
  p50: quantile(latencies, 0.5),
  p99: quantile(latencies, 0.99),
  succeeded,
  failed: answers - succeeded,
};
process.stdout.write(JSON.stringify(measured));
