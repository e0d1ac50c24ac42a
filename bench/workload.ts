/** What is measured, and by what: `wrk` where it is installed, else the generator in `load.ts`. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { root, run } from "../test/matrix/harness/node-process.ts";

export const VALUE_BYTES = 256;

/** One measurement. */
export interface Work {
  readonly method: "GET" | "PUT";
  readonly url: string;
  /** Connections, each with one request under way. */
  readonly outstanding: number;
  readonly seconds: number;
  readonly keys: number;
}

export interface Measured {
  readonly perSecond: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  /** Answers that were errors, and broken connections. */
  readonly failed: number;
}

/** Measures one workload. */
export type Driver = (work: Work) => Promise<Measured>;

export const keyOf = (n: number): string => `key-${n}`;

/** A value that says whose it is, so that reading it back shows that it got to the right key. */
export const valueOf = (n: number): string => `${keyOf(n)} `.padEnd(VALUE_BYTES, "holdfast ");

/** Requests are made before the start; wrk's latencies are in microseconds. */
const wrkScript = `
local requests = {}
local at = 0
function init(args)
  local method, keys, bytes = args[1], tonumber(args[2]), tonumber(args[3])
  for n = 0, keys - 1 do
    local value = nil
    if method == "PUT" then
      value = ("key-" .. n .. " " .. string.rep("holdfast ", bytes / 9 + 1)):sub(1, bytes)
    end
    requests[n] = wrk.format(method, "/v1/kv/key-" .. n, nil, value)
  end
  at = math.random(0, keys - 1)
  count = keys
end
function request()
  at = (at + 1) % count
  return requests[at]
end
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\\n{"perSecond":%f,"p50":%f,"p99":%f,"failed":%d}\\n',
    (summary.requests - e.status) / summary.duration * 1e6,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    e.connect + e.read + e.write + e.status + e.timeout))
end
`;

/** Whether `wrk` is on the PATH. */
export async function hasWrk(): Promise<boolean> {
  return await run(["wrk", "--version"]).then(() => true, () => false);
}

/** Drives with `wrk`; its script goes into `directory`. */
export function wrkDriver(directory: string): Driver {
  const script = join(directory, "workload.lua");
  writeFileSync(script, wrkScript);
  return async ({ method, url, outstanding, seconds, keys }) => {
    const flags = ["-t", "1", "-c", String(outstanding), "-d", `${seconds}s`, "--timeout", "10s"];
    const workload = [method, String(keys), String(VALUE_BYTES)];
    return lastLine(
      await run(["wrk", ...flags, "-s", script, url, "--", ...workload], {
        timeoutMs: seconds * 1000 + 30_000,
      }),
    );
  };
}

/** Drives with this project's own generator, under Node, in a process of its own. */
export const ownDriver: Driver = async (work) => {
  const command = join(root, "node_modules/.bin/node");
  return lastLine(
    await run([command, join(root, "bench/load-child.ts"), JSON.stringify(work)], {
      timeoutMs: work.seconds * 1000 + 30_000,
    }),
  );
};

function lastLine({ status, stdout, stderr }: Awaited<ReturnType<typeof run>>): Measured {
  if (status !== 0) throw new Error(`the load generator ended with ${status}: ${stderr}${stdout}`);
  return JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "") as Measured;
}
