/** `demo`: three replicas in this process, in memory, narrated step by step. */
import type { Command } from "./command.ts";
import { exit, jsonFlag } from "./output.ts";

/** `demo`. */
export const demo: Command = {
  summary: "watch three replicas in one process elect, replicate and survive",
  help: `holdfast demo

Runs three replicas in this process, in memory, over a network that is only pretended, and tells
what they do: an election, a write, a transaction, the leader's death, a watcher that goes on all
the same, a read on every node, the dead one's return.

  --json             tell it as JSON, an object a line: a "step", or a "note" with its "seconds"

Exit status: 0 it all went as told.
`,
  syntax: { flags: { json: jsonFlag }, operands: [] },
  run: async (args) => {
    // Loaded here only: it is all of a node, which no other command needs.
    const { Demo } = await import("./demo-play.ts");
    await new Demo(args).play();
    return exit.done;
  },
};
