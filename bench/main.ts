/** `npm run bench`: a local three-node cluster on each runtime, beside bare Hono on the same runtime in the same run. */
import { mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { Cluster } from "../test/matrix/harness/cluster.ts";
import {
  freePort,
  root,
  RunningProcess,
  type RuntimeName,
  runtimes as allRuntimes,
} from "../test/matrix/harness/node-process.ts";
import { type Row, table } from "./table.ts";
import {
  type Driver,
  hasWrk,
  keyOf,
  type Measured,
  ownDriver,
  VALUE_BYTES,
  valueOf,
  type Work,
  wrkDriver,
} from "./workload.ts";

const help = `npm run bench -- [options]

Puts and linearizable gets against the leader of a local three-node cluster (file storage, synced, default settings),
beside a bare Hono server with the same routes over a Map, one process, on the same runtime. The two take turns;
clients and all nodes share this machine, so ratios count and absolute figures drift.

  --runtimes bun,deno,node   which runtimes (default all three)
  --seconds 2                length of one measurement
  --rounds 3                 how often each is repeated; the table shows median and min–max
  --outstanding 256,64,1     requests under way at a time
  --driver wrk|own           default wrk where it is installed (Debian: apt-get install wrk), else a generator in Node
  --json                     the result as JSON on standard output
  --help

npm run bench:micro          the parts alone: core step, log record, WAL append, CBOR guard, store
`;

const KEYS = 2000;
const SAMPLE_EVERY = 37;
const WARM_UP_SECONDS = 1;

interface Options {
  readonly runtimes: readonly RuntimeName[];
  readonly seconds: number;
  readonly rounds: number;
  readonly outstanding: readonly number[];
  readonly driver: "wrk" | "own" | null;
  readonly json: boolean;
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      runtimes: { type: "string", default: allRuntimes.join(",") },
      seconds: { type: "string", default: "2" },
      rounds: { type: "string", default: "3" },
      outstanding: { type: "string", default: "256,64,1" },
      driver: { type: "string" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(help);
    process.exit(0);
  }
  const runtimes = values.runtimes.split(",").map((name) => {
    const runtime = allRuntimes.find((one) => one === name);
    return runtime ?? refuse(`--runtimes takes some of ${allRuntimes.join(",")}, not ${name}`);
  });
  const whole = (flag: string, text: string): number => {
    const number = Number(text);
    if (Number.isInteger(number) && number >= 1 && number <= 10_000) return number;
    return refuse(`--${flag} takes whole numbers from 1, not ${text}`);
  };
  const { driver = null } = values;
  if (driver !== null && driver !== "wrk" && driver !== "own") {
    return refuse(`--driver takes wrk or own, not ${driver}`);
  }
  return {
    runtimes,
    seconds: whole("seconds", values.seconds),
    rounds: whole("rounds", values.rounds),
    outstanding: values.outstanding.split(",").map((text) => whole("outstanding", text)),
    driver,
    json: values.json,
  };
}

function refuse(line: string): never {
  process.stderr.write(`bench: ${line}\n`);
  process.exit(2);
}

/** Progress on standard error: one line that is written over on a terminal, lines elsewhere. */
function progress(text: string): void {
  const { stderr } = process;
  stderr.write(stderr.isTTY ? `\r\x1b[K${text}` : `${text}\n`);
}

/** Every key's value is its own, on every node, as a linearizable read finds it. */
async function verify(cluster: Cluster): Promise<void> {
  for (let n = 0; n < KEYS; n += SAMPLE_EVERY) {
    await Promise.all(cluster.nodes.map(async ({ id, url }) => {
      const { status, body } = await cluster.http.request(`${url}/v1/kv/${keyOf(n)}`);
      if (status === 200 && body.toString() === valueOf(n)) return;
      throw new Error(`${id} has a wrong value of ${keyOf(n)}: ${status} ${body.toString()}`);
    }));
  }
}

async function startBareHono(runtime: RuntimeName): Promise<RunningProcess & { url?: string }> {
  const port = await freePort();
  const binary = join(root, "node_modules/.bin", runtime);
  const script = join(root, "bench/bare-hono.ts");
  const prefix = runtime === "deno" ? ["run", "--allow-all"] : [];
  const server = new RunningProcess([binary, ...prefix, script, runtime, String(port)]);
  await server.firstLine();
  return Object.assign(server, { url: `http://127.0.0.1:${port}` });
}

async function benchRuntime(
  runtime: RuntimeName,
  options: Options,
  drive: Driver,
): Promise<readonly Row[]> {
  const { seconds, rounds, outstanding } = options;
  const workloads = (["PUT", "GET"] as const).flatMap((method) =>
    outstanding.map((connections) => ({ method, outstanding: connections, keys: KEYS }))
  );
  const samples = workloads.map(() => ({ holdfast: [] as Measured[], hono: [] as Measured[] }));
  progress(`${runtime}: starting`);
  await using cluster = await Cluster.start([runtime, runtime, runtime]);
  const hono = await startBareHono(runtime);
  try {
    const urls = { holdfast: (await cluster.leader()).url, hono: hono.url ?? "" };
    for (const url of Object.values(urls)) {
      const fill: Work = {
        method: "PUT",
        url,
        outstanding: 64,
        keys: KEYS,
        seconds: WARM_UP_SECONDS,
      };
      await drive(fill);
      await drive(fill);
      await drive({ ...fill, method: "GET" });
    }
    for (let round = 1; round <= rounds; round++) {
      for (const [at, workload] of workloads.entries()) {
        for (const system of ["holdfast", "hono"] as const) {
          const what = `${workload.method}, ${workload.outstanding} outstanding, ${system}`;
          progress(`${runtime}: round ${round} of ${rounds}: ${what}`);
          const measured = await drive({ ...workload, url: urls[system], seconds });
          samples[at]?.[system].push(measured);
        }
      }
      await verify(cluster);
    }
    const { id } = await cluster.leader();
    if (cluster.node(id).url !== urls.holdfast) {
      progress(`${runtime}: the leader changed meanwhile`);
    }
  } finally {
    hono.signal("SIGKILL");
    await hono.ended;
  }
  return workloads.map((workload, at) => ({
    runtime,
    method: workload.method,
    outstanding: workload.outstanding,
    holdfast: samples[at]?.holdfast ?? [],
    hono: samples[at]?.hono ?? [],
  }));
}

const options = readOptions();
const directory = mkdtempSync(join(tmpdir(), "holdfast-bench-"));
try {
  const wrk = options.driver !== "own" && await hasWrk();
  if (!wrk && options.driver === "wrk") {
    refuse("wrk is not installed (Debian: apt-get install wrk)");
  }
  if (!wrk && options.driver === null) {
    progress(
      "wrk is not installed (Debian: apt-get install wrk): driving with a generator in Node",
    );
  }
  const drive = wrk ? wrkDriver(directory) : ownDriver;
  const rows: Row[] = [];
  for (const runtime of options.runtimes) rows.push(...await benchRuntime(runtime, options, drive));
  progress("");
  const machine = `${availableParallelism()} × ${cpus()[0]?.model.trim() ?? "unknown processor"}`;
  const circumstances = {
    machine,
    driver: wrk ? "wrk" : "own",
    seconds: options.seconds,
    rounds: options.rounds,
    keys: KEYS,
    valueBytes: VALUE_BYTES,
  };
  process.stdout.write(
    options.json
      ? `${JSON.stringify({ ...circumstances, rows }, null, 2)}\n`
      : `${
        table(rows)
      }\n${machine}; driven by ${circumstances.driver}; ${options.rounds} rounds of ` +
        `${options.seconds} s; ${KEYS} keys, values of ${VALUE_BYTES} bytes; every value read back right\n`,
  );
} finally {
  rmSync(directory, { recursive: true, force: true });
}
