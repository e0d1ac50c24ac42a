/** Runs the load generator in a process of its own: one {@link Work} as JSON in, one {@link Measured} as JSON out. */
import process from "node:process";
import { quantile, requestBytes, runLoad } from "./load.ts";
import { keyOf, type Measured, valueOf, type Work } from "./workload.ts";

const work = JSON.parse(process.argv[2] ?? "") as Work;
const requests = Array.from({ length: work.keys }, (_, n) => {
  const path = `/v1/kv/${keyOf(n)}`;
  return work.method === "GET"
    ? requestBytes("GET", work.url, path)
    : requestBytes("PUT", work.url, path, new TextEncoder().encode(valueOf(n)));
});
const { succeeded, seconds, statuses, latencies } = await runLoad({
  urls: [work.url],
  connections: work.outstanding,
  secondsMax: work.seconds,
  request: (n) => requests[n % requests.length] ?? new Uint8Array(0),
});
const answers = Object.values(statuses).reduce((sum, count) => sum + count, 0);
const measured: Measured = {
  perSecond: succeeded / seconds,
  p50: quantile(latencies, 0.5),
  p99: quantile(latencies, 0.99),
  failed: answers - succeeded,
};
process.stdout.write(JSON.stringify(measured));
