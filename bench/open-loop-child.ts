/** Runs an {@link OpenLoad} in a process of its own: the load as JSON in, an {@link OpenLoadReport} as JSON out. */
import process from "node:process";
import { type OpenLoad, type OpenLoadReport, runOpenLoad } from "./open-loop.ts";

const load = JSON.parse(process.argv[2] ?? "") as OpenLoad;
const { last, ...result } = await runOpenLoad(load);
process.stdout.write(JSON.stringify({ ...result, last: [...last] } satisfies OpenLoadReport));
