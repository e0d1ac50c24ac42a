/** Machines that ask for tokens, and what is asked of them with these. */
import assert from "node:assert/strict";
import type {
  AccessEdit,
  Grant,
  Role,
  Token,
  TokenId,
  Verb,
} from "../../../src/kv/access/grant.ts";
import { encodeCommand, stampCommand } from "../../../src/kv/command-codec.ts";
import type { Command } from "../../../src/kv/command.ts";
import { prefixEnd } from "../../../src/kv/key.ts";
import { KvMachine } from "../../../src/kv/machine.ts";
import type { KvResult } from "../../../src/kv/result.ts";

export const rootId = "root0000";

/** A token of this id and these roles; its name is its id. */
export function tokenOf(id: TokenId, roles: readonly string[], name: string = id): Token {
  return { id, name, hash: new Uint8Array(32).fill(id.charCodeAt(0)), roles };
}

/** These verbs, on all keys that begin with `prefix`. */
export function under(prefix: string, ...verbs: readonly Verb[]): Grant {
  return { verbs, start: prefix, end: prefixEnd(prefix) };
}

/** A machine of the version that knows tokens. */
export class Guarded {
  readonly machine: KvMachine = new KvMachine();
  time = 1000;

  constructor() {
    this.bare({ type: "upgrade", version: 2 });
  }

  /** With root's token, and roles of these grants, each of which a token of the same name has. */
  static with(roles: Readonly<Record<string, readonly Grant[]>> = {}): Guarded {
    const guarded = new Guarded();
    const first = { type: "putToken", token: tokenOf(rootId, ["root"]), first: true } as const;
    assert.equal(guarded.bare(first).type, "accessChanged");
    for (const [name, grants] of Object.entries(roles)) {
      guarded.edit({ type: "putRole", role: { name, grants } });
      guarded.edit({ type: "putToken", token: tokenOf(name, [name]), first: false });
    }
    return guarded;
  }

  /** Without a token. */
  bare(command: Command): KvResult {
    const payload = encodeCommand(command).slice();
    stampCommand(payload, this.time);
    return this.machine.apply({ payload });
  }

  as(token: TokenId | null, command: Command): KvResult {
    return this.bare({ type: "as", token, command: encodeCommand(command) });
  }

  /** By root; fails unless that succeeds. */
  edit(edit: AccessEdit): void {
    assert.deepEqual(this.as(rootId, edit).type, "accessChanged");
  }

  role(name: string, grants: readonly Grant[]): void {
    const role: Role = { name, grants };
    this.edit({ type: "putRole", role });
  }

  /** Through a snapshot, into a machine of its own. */
  async restored(): Promise<KvMachine> {
    const chunks = [...this.machine.snapshot().chunks()].map((chunk) => chunk.slice());
    const machine = new KvMachine();
    await machine.restore((async function* () {
      yield* chunks;
    })());
    return machine;
  }
}

/** What a machine is now, or was when a snapshot was taken of it. */
export function bytesOf(
  { chunks }: { readonly chunks: () => Iterable<Uint8Array> },
): string {
  return [...chunks()].map((chunk) => hex(chunk)).join("");
}

function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function put(key: string, extras: Partial<Extract<Command, { type: "put" }>> = {}): Command {
  const value = new TextEncoder().encode("v");
  return {
    type: "put",
    key,
    value,
    contentType: "application/octet-stream",
    conditions: [],
    ...extras,
  };
}
