/** `cluster`: several durable nodes on this machine, each a process of its own. What `npm start` runs. */
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import process from "node:process";
import * as v from "valibot";
import { readNodeConfig } from "../config.ts";
import { countSchema, flagOf, nodeOptions } from "../config/options.ts";
import { BadConfiguration } from "../errors.ts";
import type { Arguments, FlagSpec } from "./arguments.ts";
import { ChildNode } from "./child-node.ts";
import { type Command, readFlag } from "./command.ts";
import { readConfigFile } from "./config-file.ts";
import { type RuntimeName, thisRuntime } from "./node.ts";
import { exit, jsonFlag, print, wantsJson } from "./output.ts";
import { commandOf } from "./runtime-command.ts";

const NODES_DEFAULT = 3;
const BASE_PORT_DEFAULT = 4001;
/** A stop that takes longer is ended with SIGKILL; a node's own stop takes 8 s at most. */
const STOP_TIMEOUT_MS = 9_500;
const REPEATED_SIGNAL_MS = 1000;

const runtime: FlagSpec = { takes: "bun, deno, node or mixed" };
const nodes: FlagSpec = { takes: "a number from 1 to 9" };
const basePort: FlagSpec = { takes: "a port that leaves room for all nodes, such as 4001" };
const data: FlagSpec = { takes: "a directory" };

const {
  id: _id,
  listen: _listen,
  advertise: _url,
  peers: _peers,
  peersExpect: _expect,
  join: _join,
  dnsServer: _dns,
  data: _data,
  priority: _priority,
  ...shared
} = nodeOptions;

/** `cluster`. */
export const cluster: Command = {
  summary: "run a cluster on this machine: three durable nodes, unless told otherwise",
  help: `holdfast cluster

Runs nodes n1, n2, … on 127.0.0.1, each a process of its own. Ctrl-C stops them all; started
again, they find their data. One that was removed from its cluster is left out.

  --runtime R        bun, deno, node, or mixed (default: the one that runs this)
  --nodes N          how many (default ${NODES_DEFAULT})
  --base-port P      the first node's port; the others' follow (default ${BASE_PORT_DEFAULT})
  --data DIR         where each node has a directory of its own (default ./data)
  --json             say all as JSON, an object a line

A node's other flags are handed on: ${Object.keys(shared).map(flagOf).join(", ")}.

Exit status: 0 all stopped cleanly, 2 wrong command line, a busy port or a runtime that is
missing, else that of the first node that failed.
`,
  syntax: { flags: { ...shared, runtime, nodes, basePort, data, json: jsonFlag }, operands: [] },
  run: async (args) => {
    const { plan, removed } = present(planOf(args));
    for (const { port } of plan) await checkPort(port);
    for (const { id } of removed) say(args, `${id} was removed from its cluster, and is left out`);
    return await new Cluster(plan, args).run();
  },
};

interface PlannedNode {
  readonly id: string;
  readonly port: number;
  readonly url: string;
  readonly data: string;
  readonly command: readonly string[];
}

/** What to start. @throws {BadConfiguration} before anything is. */
function planOf(args: Arguments): PlannedNode[] {
  const runtimes = v.picklist(["bun", "deno", "node", "mixed"]);
  const kind = readFlag(args, "runtime", runtime, runtimes) ?? thisRuntime;
  const count = readFlag(args, "nodes", nodes, countSchema(1, 9)) ?? NODES_DEFAULT;
  const first = readFlag(args, "basePort", basePort, countSchema(1, 65_536 - count)) ??
    BASE_PORT_DEFAULT;
  const mix: readonly RuntimeName[] = kind === "mixed" ? ["bun", "deno", "node"] : [kind];
  const directory = args.flags["data"] ?? "./data";
  const ids = Array.from({ length: count }, (_, index) => `n${index + 1}`);
  const isTls =
    (args.flags["tlsCert"] ?? (process.env["HOLDFAST_TLS_CERT"] || undefined)) !== undefined;
  const url = (index: number): string => `http${isTls ? "s" : ""}://127.0.0.1:${first + index}`;
  const peers = ids.map((id, index) => `${id}=${url(index)}`).join(",");
  const handedOn = Object.keys(shared).filter((name) => args.flags[name] !== undefined);
  return ids.map((id, index) => {
    const own: Record<string, string> = {
      id,
      listen: `127.0.0.1:${first + index}`,
      advertise: url(index),
      peers,
      data: `${directory}/${id}`,
    };
    for (const name of handedOn) own[name] = args.flags[name] ?? "";
    readNodeConfig(own, process.env, readConfigFile(own, process.env));
    const flags = Object.entries(own).map(([name, text]) => `${flagOf(name)}=${text}`);
    const name = mix[index % mix.length] ?? thisRuntime;
    return {
      id,
      port: first + index,
      url: url(index),
      data: `${directory}/${id}`,
      command: [...commandOf(name), ...flags],
    };
  });
}

/**
 * Those that are to be started. A node that was removed says so in its directory and would refuse to start; that is no
 * reason to stop the others. @throws {BadConfiguration} where nobody is left.
 */
function present(
  planned: readonly PlannedNode[],
): { readonly plan: readonly PlannedNode[]; readonly removed: readonly PlannedNode[] } {
  const { plan = [], removed = [] } = Object.groupBy(
    planned,
    ({ data }) => (wasRemoved(data) ? "removed" : "plan"),
  );
  if (plan.length > 0) return { plan, removed };
  throw new BadConfiguration(
    "--data takes a directory with members; all that are there were removed from their cluster",
  );
}

function wasRemoved(data: string): boolean {
  try {
    const identity: unknown = JSON.parse(readFileSync(`${data}/identity.json`, "utf8"));
    return v.is(v.object({ removed: v.literal(true) }), identity);
  } catch {
    // What is wrong with it, the node says.
    return false;
  }
}

/** @throws {BadConfiguration} where something listens there already. */
function checkPort(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", (error: Error & { readonly code?: string }) => {
      const reason = error.code === "EADDRINUSE" ? "is in use" : `can't be used: ${error.message}`;
      reject(
        new BadConfiguration(
          `--base-port takes a port that leaves room for all nodes; 127.0.0.1:${port} ${reason}`,
        ),
      );
    });
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve()));
  });
}

class Cluster {
  readonly #plan: readonly PlannedNode[];
  readonly #args: Arguments;
  #children: readonly ChildNode[] = [];
  #isStopping = false;

  constructor(plan: readonly PlannedNode[], args: Arguments) {
    this.#plan = plan;
    this.#args = args;
  }

  /** Resolves with the exit status when all nodes have ended. */
  async run(): Promise<number> {
    const ids = this.#plan.map(({ id }) => id).join(", ");
    this.#say(`starting ${ids} …`);
    this.#stopOnSignals();
    // Three nodes that stop at once find nobody to hand over to, which is nothing to tell.
    const tell = (line: string): void => {
      if (!this.#isStopping) this.#say(line);
    };
    this.#children = this.#plan.map(({ id, command }) => new ChildNode(id, command, tell));
    const ended = this.#children.map((child) => this.#watch(child));
    const serving = await Promise.all(this.#children.map((child) => child.serving));
    if (serving.every((line) => line !== null) && !this.#isStopping) {
      await this.#welcome(serving);
    } else {
      this.#stop("SIGTERM");
    }
    const statuses = await Promise.all(ended);
    this.#say("all nodes have stopped");
    return statuses.find((status) => status !== exit.done) ?? exit.done;
  }

  async #welcome(lines: readonly (string | null)[]): Promise<void> {
    for (const [index, line] of lines.entries()) {
      const node = this.#plan[index];
      if (wantsJson(this.#args)) this.#say(line ?? "", { id: node?.id, url: node?.url });
      else await print(`${line}\n`);
    }
    if (!wantsJson(this.#args)) await print(this.#hints());
  }

  #say(line: string, fields: Readonly<Record<string, unknown>> = {}): void {
    say(this.#args, line, fields);
  }

  async #watch(child: ChildNode): Promise<number> {
    const { status, how } = await child.ended;
    if (this.#isStopping) {
      this.#say(`${child.id} stopped${status === exit.done ? "" : `: ${how}`}`);
      return status;
    }
    const left = this.#children.filter((other) => other.isAlive).length;
    const total = this.#children.length;
    const rest = left * 2 > total
      ? `${left} of ${total} go on`
      : left > 0
      ? `${left} of ${total} are left, which is no majority`
      : "none is left";
    this.#say(`${child.id} ended: ${how}; ${rest}`);
    return status;
  }

  #hints(): string {
    const [first, second = first, last = second] = this.#plan;
    return `
Try:
  curl -X PUT ${first?.url}/v1/kv/greeting -d hello
  curl ${second?.url}/v1/kv/greeting
  curl -N '${last?.url}/v1/watch?from=1'   # every change, as it happens
Ctrl-C stops all nodes; their data stays.

`;
  }

  #stop(signal: NodeJS.Signals): void {
    if (!this.#isStopping) {
      this.#isStopping = true;
      setTimeout(() => this.#stop("SIGKILL"), STOP_TIMEOUT_MS).unref();
    }
    for (const child of this.#children) child.kill(signal);
  }

  /** The nodes may have the signal already: a terminal's goes to all processes in the foreground. */
  #stopOnSignals(): void {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      let since = Infinity;
      process.on(signal, () => {
        const isRepeated = performance.now() - since > REPEATED_SIGNAL_MS;
        since = Math.min(since, performance.now());
        if (!this.#isStopping) this.#say("stopping …");
        this.#stop(isRepeated ? "SIGKILL" : "SIGTERM");
      });
    }
  }
}

/** A line about what happens; with `--json` an object whose `message` it is. */
function say(
  args: Arguments,
  line: string,
  fields: Readonly<Record<string, unknown>> = {},
): void {
  const now = new Date();
  process.stdout.write(
    wantsJson(args)
      ? `${JSON.stringify({ time: now.toISOString(), ...fields, message: line })}\n`
      : `${now.toTimeString().slice(0, 8)} ${line}\n`,
  );
}
