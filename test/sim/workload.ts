/** Clients: each does one operation after the other, on any node, and remembers what it was told. */
import { defaultContentType } from "../../src/kv/command.ts";
import { decodeCommand } from "../../src/kv/command-codec.ts";
import { expectAnswer } from "./deadlines.ts";
import { DrawnCommands } from "./drawn-commands.ts";
import type { History, Operation } from "./history.ts";
import type { Endpoint, Network } from "./network.ts";
import type { Machine } from "./node.ts";
import { type Consistency, put, type Request, requestText, type Response } from "./operation.ts";
import type { SimOptions } from "./options.ts";
import type { Oracles } from "./oracles.ts";
import { Random } from "./random.ts";
import { plainText } from "./result-text.ts";
import { Sessions } from "./sessions.ts";
import type { World } from "./world.ts";

/** All clients' end of the network. */
export const clientEnd = "clients";
/** A client gives up this long after the node should have answered, in microseconds. */
const patienceUs = 1_000_000;
/** How often a write is keyed, where keys are used. */
const keyedShare = 0.6;
/** How often a read is of the past, where that is read. */
const pastShare = 0.3;
/** How often a page is followed by the next one. */
const nextPageShare = 0.8;

/** A listing that goes on behind its last page, at that page's revision. */
interface Listing {
  readonly start: string;
  readonly end: string | null;
  readonly revision: number;
}

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
  readonly #commands: DrawnCommands;
  readonly #sessions: Sessions;
  readonly #listings = new Map<number, Listing>();
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

  constructor(parts: WorkloadParts) {
    this.#parts = parts;
    this.#random = new Random(parts.options.seed, "workload");
    this.#commands = new DrawnCommands(parts.options, this.#random);
    this.#sessions = new Sessions(this.#random);
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

  /** A put of a key that the clients use as well; at times one that ends soon. */
  aPut(): Request {
    const { options, history } = this.#parts;
    const extras = options.load.uses.has("ttl") && this.#random.chance(0.5)
      ? { extras: { metadata: null, lease: null, ttlMs: this.#random.whole(1, 3000) } }
      : {};
    const command = put(history.next, this.#commands.key(), {
      bytes: 16,
      contentType: defaultContentType,
      conditions: [],
      ...extras,
    });
    return { type: "write", command };
  }

  aGet(): Request {
    const key = this.#commands.key();
    return { type: "get", key, consistency: "linearizable", revision: null };
  }

  #think(client: number): void {
    const { options, world, machines } = this.#parts;
    const pause = Math.round(this.#random.exponential(options.load.thinkMs) * 1000);
    world.after(pause, () => {
      if (this.#stopped) return;
      const request = this.#draw(client);
      this.#send(client, this.#random.pick(machines), request, () => this.#think(client));
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
    const text = response.type === "written" ? plainText(response) : JSON.stringify(response);
    network.trace.mixText(`${operation.number} ${text}`);
    network.trace.note(operation.node, () => `${operation.number} ended: ${text}`);
    const { request, client } = operation;
    if (request.type !== "write") return this.#learnRead(client, request, response);
    const { command } = request;
    if (command.type === "keyed") {
      this.#sessions.ended(client, command, response.type === "written" ? "answered" : "unknown");
    }
    if (response.type !== "written") return;
    const { result } = response;
    const written = command.type === "keyed" ? decodeCommand(command.command) : command;
    if (result.type === "lease") this.#commands.granted(result.lease);
    else if (result.type === "put" && written.type === "put") {
      this.#commands.saw(written.key, result.revision);
    }
  }

  #learnRead(
    client: number,
    request: Exclude<Request, { type: "write" }>,
    response: Response,
  ): void {
    if (response.type !== "read") return;
    const { items, revision } = response;
    for (const item of items) this.#commands.saw(item.key, item.revision);
    const last = items.at(-1);
    if (request.type !== "list" || last === undefined || items.length < request.limit) return;
    this.#listings.set(client, { start: `${last.key}\0`, end: request.end, revision });
  }

  #draw(client: number): Request {
    const random = this.#random;
    const { load } = this.#parts.options;
    if (random.chance(load.reads)) return this.#read(client);
    const number = this.#parts.history.next;
    if (!load.uses.has("keys")) return { type: "write", command: this.#commands.write(number) };
    const again = this.#sessions.repeat(client);
    if (again !== null) return { type: "write", command: again };
    const command = this.#commands.write(number);
    if (!random.chance(keyedShare)) return { type: "write", command };
    return { type: "write", command: this.#sessions.keyed(client, number, command) };
  }

  #read(client: number): Request {
    const random = this.#random;
    const { load, leaseReads } = this.#parts.options;
    const levels: readonly Consistency[] = leaseReads
      ? ["linearizable", "lease", "lease", "stale"]
      : ["linearizable", "linearizable", "lease", "stale"];
    const consistency = random.pick(levels);
    const listing = this.#listings.get(client);
    if (listing !== undefined) {
      this.#listings.delete(client);
      if (random.chance(nextPageShare)) {
        return { ...listing, type: "list", limit: random.whole(1, 8), consistency };
      }
    }
    const isPast = load.uses.has("past") && random.chance(pastShare);
    const revision = isPast
      ? Math.max(0, this.#parts.history.floor - Math.floor(random.scaled(1, 500)) + 1)
      : null;
    if (random.chance(0.8)) {
      return { type: "get", key: this.#commands.key(), consistency, revision };
    }
    return {
      type: "list",
      start: this.#commands.key(),
      end: random.chance(0.5) ? null : this.#commands.key(),
      limit: load.uses.has("past") && random.chance(0.5) ? random.whole(1, 8) : Infinity,
      consistency,
      revision,
    };
  }
}
