/** Programs that the bench does not bring along: whether they are there, and how they get there. */
import { run } from "../test/matrix/harness/node-process.ts";

/** Names of Debian's packages. */
const packages = {
  wrk: "wrk",
  etcd: "etcd-server",
  h2load: "nghttp2-client",
  taskset: "util-linux",
} as const;

export type Program = keyof typeof packages;

export async function isInstalled(program: Program): Promise<boolean> {
  return await run([program, "--version"]).then(() => true, () => false);
}

/** `wrk is not installed (Debian: apt-get install wrk)` */
export function missing(program: Program): string {
  return `${program} is not installed (Debian: apt-get install ${packages[program]})`;
}
