/**
 * Drives etcd's gRPC with `h2load`, which is written in C. A unary gRPC call is an HTTP/2 POST whose body is one frame,
 * and h2load posts one file again and again: so a run puts or reads one key, another one each run. For etcd that is no
 * handicap: four processes with a key each gave 10,600 puts/s where one gave 10,900, two runs of two.
 *
 * h2load looks at HTTP's status alone, and gRPC has its own in the trailers: the caller has to check what was done.
 */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "../test/matrix/harness/node-process.ts";
import { type Measured, quantile } from "./workload.ts";

export interface H2loadRun {
  /** Of a node, such as http://127.0.0.1:2379. */
  readonly url: string;
  /** Of the method, such as /etcdserverpb.KV/Put. */
  readonly path: string;
  readonly frame: Uint8Array;
  readonly outstanding: number;
  readonly seconds: number;
  /** Requests under way on one connection; more connections cost etcd more than more streams. */
  readonly streams: number;
}

/** What h2load told, with the bytes of the answers' bodies. */
export type H2loadMeasured = Measured & { readonly bodyBytes: number };

export type H2load = (run: H2loadRun) => Promise<H2loadMeasured>;

/** Drives with `h2load`; its files go into `directory`. */
export function h2loadIn(directory: string): H2load {
  const body = join(directory, "frame.bin");
  const log = join(directory, "h2load.log");
  return async ({ url, path, frame, outstanding, seconds, streams }) => {
    writeFileSync(body, frame);
    const connections = Math.ceil(outstanding / streams);
    const flags = ["-t", "1", "-c", String(connections), "-D", `${seconds}s`, "-d", body];
    const shape = ["-m", String(Math.ceil(outstanding / connections)), `--log-file=${log}`];
    const headers = ["-H", "content-type: application/grpc", "-H", "te: trailers"];
    const { status, stdout, stderr } = await run(
      ["h2load", ...flags, ...shape, ...headers, `${url}${path}`],
      { timeoutMs: seconds * 1000 + 60_000 },
    );
    if (status !== 0) throw new Error(`h2load ended with ${status}: ${stderr}${stdout}`);
    const measured = readH2load(stdout, readFileSync(log, "latin1"));
    rmSync(log);
    return measured;
  };
}

/** Reads what h2load printed, and its log: a line a request, `start µs, HTTP status, duration µs`. */
export function readH2load(printed: string, log: string): H2loadMeasured {
  // By the time that was asked for; "finished in" counts closing the connections too.
  const perSecond = numberIn(printed, /([\d.]+) req\/s/) ?? NaN;
  const succeeded = numberIn(printed, /(\d+) succeeded/) ?? NaN;
  const failed = numberIn(printed, /(\d+) failed/) ?? NaN;
  const bodyBytes = numberIn(printed, /\((\d+)\) data/) ?? NaN;
  const latencies = Float64Array.from(
    log.trimEnd().split("\n").flatMap((line) => {
      const [, status = "", microseconds = ""] = line.split("\t");
      return status === "200" ? [Number(microseconds) / 1000] : [];
    }),
  ).sort();
  const measured = {
    perSecond,
    mean: latencies.reduce((sum, latency) => sum + latency, 0) / latencies.length,
    p50: quantile(latencies, 0.5),
    p99: quantile(latencies, 0.99),
    succeeded,
    failed,
    bodyBytes,
  };
  if (Object.values(measured).every(Number.isFinite)) return measured;
  throw new Error(`h2load printed what is not understood here: ${printed}`);
}

function numberIn(text: string, pattern: RegExp): number | null {
  const digits = pattern.exec(text)?.[1];
  return digits === undefined ? null : Number(digits);
}
