/** Drives with `wrk` where it is installed, else with the generator in `load.ts`. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { root, run } from "../test/matrix/harness/node-process.ts";
import { bulkRequests, type BulkWork, type Driver, isBulk } from "./bulk.ts";
import type { Measured } from "./workload.ts";
import { WrongData } from "./written.ts";

/** Few requests are made before the start and kept, many are made as they go out: a million would not fit Lua's heap. */
const script = `
local made, at, keys, keep, build = {}, 0, 0, false, nil
function init(args)
  if args[1] == "files" then
    keys, keep = tonumber(args[2]), true
    for n = 0, keys - 1 do
      local file = io.open(args[3] .. n, "rb")
      made[n] = file:read("*a")
      file:close()
    end
    at = math.random(0, keys - 1)
    return
  end
  local method, bytes, stamp = args[1], tonumber(args[3]), args[4]
  keys = tonumber(args[2])
  keep = keys <= 10000 and bytes <= 1024
  local host = wrk.host .. ":" .. wrk.port
  if method == "GET" then
    build = function(n)
      return string.format("GET /v1/kv/key-%012d HTTP/1.1\\r\\nHost: %s\\r\\n\\r\\n", n, host)
    end
  else
    local filler = string.rep("holdfast ", bytes / 9 + 1)
    local tail = string.format(" HTTP/1.1\\r\\nHost: %s\\r\\nContent-Length: %d\\r\\n\\r\\n", host, bytes)
    build = function(n)
      local value = (stamp .. ":" .. n .. ":" .. filler):sub(1, bytes)
      return string.format("PUT /v1/kv/key-%012d", n) .. tail .. value
    end
  end
  if keep then for n = 0, keys - 1 do made[n] = build(n) end end
  at = math.random(0, keys - 1)
end
function request()
  at = (at + 1) % keys
  if keep then return made[at] end
  return build(at)
end
function done(summary, latency, requests)
  local e = summary.errors
  local succeeded = summary.requests - e.status
  io.write(string.format(
    '\\n{"perSecond":%f,"mean":%f,"p50":%f,"p99":%f,"succeeded":%d,"failed":%d,"bytes":%d}\\n',
    succeeded / summary.duration * 1e6, latency.mean / 1000,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, succeeded,
    e.connect + e.read + e.write + e.status + e.timeout, summary.bytes))
end
`;

/** Drives with `wrk`; its script goes into `directory`. Its latencies are in microseconds. */
export function wrkDriver(directory: string): Driver {
  const path = join(directory, "workload.lua");
  writeFileSync(path, script);
  return async (url, work) => {
    const { method, outstanding, seconds, keys, valueBytes, stamp } = work;
    const flags = ["-t", "1", "-c", String(outstanding), "-d", `${seconds}s`, "--timeout", "10s"];
    const workload = isBulk(work)
      ? bulkFiles(directory, work, url)
      : [method, String(keys), String(valueBytes), stamp];
    const ended = await run(["wrk", ...flags, "-s", path, url, "--", ...workload], {
      timeoutMs: seconds * 1000 + 60_000,
    });
    const { bytes, ...measured } = lastLine(ended);
    // wrk doesn't look into answers: a value that is missing shows in what they weigh.
    if (method === "GET" && bytes !== undefined && bytes < measured.succeeded * valueBytes) {
      throw new WrongData(`answers to ${measured.succeeded} gets of ${url} had ${bytes} bytes`);
    }
    return measured;
  };
}

/** What the script is told of requests that are files. */
function bulkFiles(directory: string, work: BulkWork, url: string): readonly string[] {
  const prefix = join(directory, "request-");
  const requests = bulkRequests(work, url);
  for (const [n, bytes] of requests.entries()) writeFileSync(`${prefix}${n}`, bytes);
  return ["files", String(requests.length), prefix];
}

/** Drives with this project's own generator, under Node, in a process of its own. */
export const ownDriver: Driver = async (url, work) => {
  const command = join(root, "node_modules/.bin/node");
  const task = JSON.stringify({ ...work, url });
  return lastLine(
    await run([command, join(root, "bench/load-child.ts"), task], {
      timeoutMs: work.seconds * 1000 + 60_000,
    }),
  );
};

function lastLine(
  { status, stdout, stderr }: Awaited<ReturnType<typeof run>>,
): Measured & { readonly bytes?: number } {
  if (status !== 0) throw new Error(`the load generator ended with ${status}: ${stderr}${stdout}`);
  return JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "") as Measured & { bytes?: number };
}
