/**
 * A bank as a replicated state machine: accounts in memory, the same on every replica, because every replica applies
 * the same transfers in the same order.
 *
 * What makes a state machine sound is short: `apply` depends on nothing but the command and the state (no clock, no
 * randomness, no I/O), a command that makes no sense is a result and not an exception, and `snapshot` holds still while
 * `apply` goes on.
 */
import {
  type EmbeddedReplica,
  type Embedding,
  openReplica,
  type OwnMachine,
} from "../../src/mod.ts";

/** What a bank may be told. Amounts are whole. */
export type BankCommand =
  | { readonly type: "deposit"; readonly to: string; readonly amount: number }
  | {
    readonly type: "transfer";
    readonly from: string;
    readonly to: string;
    readonly amount: number;
  };

/** What it answers. */
export type BankResult =
  | { readonly ok: true; readonly balance: number }
  | { readonly ok: false; readonly why: "malformed" | "not enough" };

/** The machine. Read it through `EmbeddedReplica.read`, which says when it is up to date. */
export class Bank implements OwnMachine<BankResult> {
  #accounts = new Map<string, number>();

  balance(account: string): number {
    return this.#accounts.get(account) ?? 0;
  }

  get total(): number {
    return [...this.#accounts.values()].reduce((sum, balance) => sum + balance, 0);
  }

  apply({ payload }: { readonly payload: Uint8Array }): BankResult {
    const command = decode(payload);
    if (command === null) return { ok: false, why: "malformed" };
    const { to, amount } = command;
    if (command.type === "transfer") {
      const left = this.balance(command.from) - amount;
      if (left < 0) return { ok: false, why: "not enough" };
      this.#accounts.set(command.from, left);
    }
    this.#accounts.set(to, this.balance(to) + amount);
    return { ok: true, balance: this.balance(to) };
  }

  snapshot(): { chunks(): Iterable<Uint8Array> } {
    const accounts = [...this.#accounts];
    return {
      *chunks() {
        for (const account of accounts) yield encoder.encode(JSON.stringify(account) + "\n");
      },
    };
  }

  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    let text = "";
    for await (const chunk of chunks) text += decoder.decode(chunk, { stream: true });
    const lines = text.split("\n").filter((line) => line !== "");
    this.#accounts = new Map(lines.map((line) => JSON.parse(line)));
  }
}

const encoder = new TextEncoder();

/** The bank on this node. Three of them, on three machines, are one bank. */
export function openBank(options: Embedding): Promise<EmbeddedReplica<BankResult, Bank>> {
  return openReplica({ ...options, machine: new Bank() });
}

export function encode(command: BankCommand): Uint8Array {
  return encoder.encode(JSON.stringify(command));
}

/** A command may come from a peer of another version: what it isn't sure of it doesn't do. */
function decode(payload: Uint8Array): BankCommand | null {
  try {
    const command: BankCommand = JSON.parse(new TextDecoder().decode(payload));
    const { type, to, amount } = command;
    if (typeof to !== "string" || !Number.isSafeInteger(amount) || amount <= 0) return null;
    if (type === "deposit") return command;
    return type === "transfer" && typeof command.from === "string" ? command : null;
  } catch {
    return null;
  }
}
