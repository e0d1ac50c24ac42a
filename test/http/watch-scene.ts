/** A node's app over a machine that a test writes to, and watchers of it. */
import assert from "node:assert/strict";
import { defaultHttpLimits, type HttpLimits } from "../../src/http/limits.ts";
import { WatchHub } from "../../src/http/watch/hub.ts";
import type { Command, HistoryLimits } from "../../src/kv/command.ts";
import { encodeCommand } from "../../src/kv/command-codec.ts";
import type { KvMachine } from "../../src/kv/machine.ts";
import { EventReader } from "./event-reader.ts";
import { FakeReplica, fixture } from "./fixture.ts";

/** A key and what it is put to; null deletes it. */
export type Write = readonly [key: string, value: string | null];

export class WatchScene {
  readonly replica: FakeReplica = new FakeReplica();
  readonly machine: KvMachine = this.replica.machine;
  readonly hub: WatchHub;
  readonly send: (method: string, target: string, init?: RequestInit) => Promise<Response>;

  constructor(limits: Partial<HttpLimits> = {}) {
    const whole = { ...defaultHttpLimits, ...limits };
    const { replica, machine } = this;
    this.hub = new WatchHub(machine, () => replica.stalenessMs(), whole);
    this.send = fixture({ replica, machine, limits, watchers: this.hub }).send;
  }

  get revision(): number {
    return this.machine.store.revision;
  }

  apply(command: Command): void {
    apply(this.machine, command);
  }

  /** All by one revision. */
  write(...writes: Write[]): void {
    this.apply(commandOf(writes));
  }

  limitHistory(history: HistoryLimits): void {
    this.apply({ type: "configure", history });
  }

  /** Takes over all that the other one's machine holds, as from a snapshot. */
  async restore({ machine }: WatchScene): Promise<void> {
    async function* chunks(): AsyncGenerator<Uint8Array> {
      yield* machine.snapshot().chunks();
    }
    await this.machine.restore(chunks());
  }

  async watch(query = "", headers: Record<string, string> = {}): Promise<EventReader> {
    const target = query === "" ? "/v1/watch" : `/v1/watch?${query}`;
    return new EventReader(await this.send("GET", target, { headers }));
  }

  /** From behind `revision` on, as a client that comes back asks for it. */
  async resume(revision: number, query = ""): Promise<EventReader> {
    return await this.watch(query, { "last-event-id": String(revision) });
  }
}

export function apply(machine: KvMachine, command: Command): void {
  const result = machine.apply({ payload: encodeCommand(command) });
  assert.notEqual(result.type, "malformed");
}

export function commandOf(writes: readonly Write[]): Command {
  const operations = writes.map(([key, value]) =>
    value === null
      ? { type: "delete" as const, key }
      : { type: "put" as const, key, value: new TextEncoder().encode(value), contentType: "t/p" }
  );
  return { type: "transaction", checks: [], then: operations, else: [] };
}
