/** `node`: one node in this process, under the runtime that runs it. */
import process from "node:process";

/** A runtime that nodes run under. */
export type RuntimeName = "bun" | "deno" | "node";

/** The runtime of this process. */
export const thisRuntime: RuntimeName = process.versions["bun"] !== undefined
  ? "bun"
  : process.versions["deno"] !== undefined
  ? "deno"
  : "node";

/** Runs a node until it ends the process. */
export async function runNode(argv: readonly string[]): Promise<number> {
  const { boot } = await import("../../runtimes/boot.ts");
  const { runtime } = await importRuntime();
  await boot(runtime, argv);
  return await new Promise<never>(() => {});
}

function importRuntime() {
  switch (thisRuntime) {
    case "bun":
      return import("../../runtimes/bun.ts");
    case "deno":
      return import("../../runtimes/deno.ts");
    case "node":
      return import("../../runtimes/node.ts");
  }
}
