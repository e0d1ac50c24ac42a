/** Clients: each does one operation after the other, on any node, and remembers what it was told. */
import {
  type Condition,
  conditionsMax,
  contentTypeBytesMax,
  defaultContentType,
} from "../../src/kv/command.ts";
import type { Key } from "../../src/kv/key.ts";
import { expectAnswer } from "./deadlines.ts";
import type { History, Operation } from "./history.ts";
import type { Endpoint, Network } from "./network.ts";
import type { Machine } from "./node.ts";
import {
  type Consistency,
  keyName,
  put,
  remove,
  removeRange,
  type Request,
  requestText,
  type Response,
} from "./operation.ts";
import type { SimOptions } from "./options.ts";
import type { Oracles } from "./oracles.ts";
import { Random } from "./random.ts";
import type { World } from "./world.ts";

/** All clients' end of the network. */
export const clientEnd = "clients";
/** A client gives up this long after the node should have answered, in microseconds. */
const patienceUs = 1_000_000;
/** The default one twice, as most values have it, and one as long as may be. */
const contentTypes: readonly string[] = [
  defaultContentType,
  defaultContentType,
  "text/plain; charset=utf-8",
  "a/b",
  "application/json; profile=".padEnd(contentTypeBytesMax, "x"),
];

export interface WorkloadParts {
  readonly options: SimOptions;
  readonly world: World;
  readonly network: Network;
  readonly oracles: Oracles;
  readonly history: History;
  readonly machines: readonly Machine[];
}

export class Workload {
  readonly #parts: WorkloadParts;
  readonly #random: Random;
  readonly #end: Endpoint = {
    id: clientEnd,
    number: 0,
    life: 0,
    paused: false,
    deferred: [],
    handler: null,
  };
  /** Of the present event. They leave in an order that is not that of the ticks in which they came. */
  #answers: { readonly number: number; readonly send: () => void }[] = [];
  #stopped = false;
  /** Revisions that clients saw of late, to make conditions of. */
  readonly #seen = new Map<Key, number>();

  constructor(parts: WorkloadParts) {
    this.#parts = parts;
    this.#random = new Random(parts.options.seed, "workload");
    parts.world.onSettled = () => {
      if (this.#answers.length === 0) return;
      const answers = this.#answers.sort((a, b) => a.number - b.number);
      this.#answers = [];
      for (const { send } of answers) send();
    };
  }

  start(): void {
    for (let client = 1; client <= this.#parts.options.load.clients; client++) this.#think(client);
  }

  /** No operation begins any more. */
  stop(): void {
    this.#stopped = true;
  }

  /** One operation on one node, outside the clients' round. */
  ask(client: number, machine: Machine, request: Request): Promise<Response> {
    return new Promise((resolve) => this.#send(client, machine, request, resolve));
  }

  /** A put of a key that the clients use as well. */
  aPut(): Request {
    return {
      type: "write",
      command: put(this.#parts.history.next, this.#key(), {
        bytes: 16,
        contentType: defaultContentType,
        conditions: [],
      }),
    };
  }

  aGet(): Request {
    return { type: "get", key: this.#key(), consistency: "linearizable" };
  }

  #think(client: number): void {
    const { options, world, machines } = this.#parts;
    const pause = Math.round(this.#random.exponential(options.load.thinkMs) * 1000);
    world.after(pause, () => {
      if (this.#stopped) return;
      this.#send(client, this.#random.pick(machines), this.#draw(), () => this.#think(client));
    });
  }

  #send(
    client: number,
    machine: Machine,
    request: Request,
    done: (response: Response) => void,
  ): void {
    const { world, network, history, oracles, options } = this.#parts;
    const operation = history.begin(client, machine.id, request, world.now);
    network.trace.note(machine.id, () => `${operation.number}: ${requestText(request)}`);
    const finish = (response: Response): void => {
      if (operation.response !== null) return;
      this.#finished(operation, response);
      done(response);
    };
    network.carry(this.#end, machine, () => {
      const served = machine.serve(request);
      const answer = (response: Response): void =>
        network.carry(machine, this.#end, () => finish(response), "once");
      if (served === null) return answer({ type: "notApplied", reason: "refused" });
      const { life } = machine;
      let isAnswered = false;
      void served.then((response) => {
        isAnswered = true;
        if (machine.life === life) {
          this.#answers.push({
            number: operation.number,
            send: () => answer(response),
          });
        }
      });
      expectAnswer(machine, options.load.timeoutMs, () => isAnswered, () => {
        oracles.fail(
          `${machine.id} lets operation ${operation.number} (${
            requestText(request)
          }) wait for ever`,
        );
      });
    }, "once");
    world.after(options.load.timeoutMs * 1000 + patienceUs, () => finish({ type: "unknown" }));
  }

  #finished(operation: Operation, response: Response): void {
    const { world, history, network } = this.#parts;
    history.end(operation, response, world.now);
    network.trace.mixText(`${operation.number} ${JSON.stringify(response)}`);
    network.trace.note(
      operation.node,
      () => `${operation.number} ended: ${JSON.stringify(response)}`,
    );
    if (response.type === "read") {
      for (const { key, revision } of response.items) this.#seen.set(key, revision);
    }
    const { request } = operation;
    if (response.type === "written" && request.type === "write" && request.command.type === "put") {
      this.#seen.set(request.command.key, response.result.revision);
    }
  }

  #draw(): Request {
    const random = this.#random;
    const { load, leaseReads } = this.#parts.options;
    if (random.chance(load.reads)) {
      const levels: readonly Consistency[] = leaseReads
        ? ["linearizable", "lease", "lease", "stale"]
        : ["linearizable", "linearizable", "lease", "stale"];
      const consistency = random.pick(levels);
      if (random.chance(0.8)) return { type: "get", key: this.#key(), consistency };
      return {
        type: "list",
        start: this.#key(),
        end: random.chance(0.5) ? null : this.#key(),
        consistency,
      };
    }
    const number = this.#parts.history.next;
    const key = this.#key();
    const kind = random.next();
    if (kind < 0.75) {
      const bytes = Math.floor(random.scaled(8, load.valueBytesMax));
      const contentType = random.pick(contentTypes);
      const conditions = this.#conditions(key);
      return { type: "write", command: put(number, key, { bytes, contentType, conditions }) };
    }
    if (kind < 0.93) return { type: "write", command: remove(number, key, this.#conditions(key)) };
    return { type: "write", command: removeRange(number, key, this.#key()) };
  }

  /** As many as a command may have. */
  #conditions(key: Key): Condition[] {
    const count = Math.min(conditionsMax, this.#random.pick([0, 0, 0, 0, 0, 1, 1, 2, 2, 3]));
    return Array.from({ length: count }, () => this.#condition(key));
  }

  #condition(key: Key): Condition {
    const kind = this.#random.next();
    if (kind < 0.25) return { type: "exists" };
    if (kind < 0.4) return { type: "absent" };
    return { type: kind < 0.75 ? "revision" : "notRevision", revisions: this.#revisions(key) };
  }

  /** Mostly the one that was seen last, at any place among others; at times 0, which is no key's. */
  #revisions(key: Key): number[] {
    const random = this.#random;
    const seen = this.#seen.get(key) ?? 1;
    const revisions = Array.from(
      { length: random.below(4) },
      () => Math.max(0, seen + random.whole(-3, 3)),
    );
    if (random.chance(0.8)) revisions.splice(random.below(revisions.length + 1), 0, seen);
    return revisions;
  }

  #key(): Key {
    return keyName(this.#random.below(this.#parts.options.load.keys));
  }
}
