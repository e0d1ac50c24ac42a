/**
 * Clients that repeat what they sent: as the client library does, with a session, ascending numbers and word of which
 * answers it has; or with a key for each request, as users of HTTP do. They repeat what they got no answer to, and at
 * times what they got one to, on whatever node comes next.
 */
import type { Command } from "../../src/kv/command.ts";
import { commandBytes } from "./operation.ts";
import type { Random } from "./random.ts";

export type Keyed = Extract<Command, { type: "keyed" }>;

/** Commands that a client may still repeat. */
const againMax = 6;
/** Of those without an answer; the others are given up. */
const againShare = 0.8;
const answeredAgainShare = 0.15;
/** How often a repeat goes first. */
const firstShare = 0.5;
/** How often a number comes with another command. */
const misuseShare = 0.03;
/** How often a request has a key of its own. */
const plainShare = 0.3;

interface Session {
  readonly name: string;
  next: number;
  /** Numbers whose answers it waits for. */
  readonly open: Set<number>;
  readonly again: Keyed[];
  last: Keyed | null;
}

export class Sessions {
  readonly #random: Random;
  readonly #sessions = new Map<number, Session>();

  constructor(random: Random) {
    this.#random = random;
  }

  /** Something that this client sends again now, or null. */
  repeat(client: number): Keyed | null {
    const session = this.#of(client);
    if (session.again.length === 0 || !this.#random.chance(firstShare)) return null;
    const [keyed] = session.again.splice(this.#random.below(session.again.length), 1);
    if (keyed === undefined) return null;
    // A request may be the one that was sent, or one that says what is done now.
    return keyed.number === 0 || this.#random.chance(0.5)
      ? keyed
      : { ...keyed, done: this.#done(session) };
  }

  /** The command with a key. */
  keyed(client: number, number: number, command: Command): Keyed {
    const session = this.#of(client);
    const bytes = commandBytes(command);
    if (session.last !== null && this.#random.chance(misuseShare)) {
      return { ...session.last, command: bytes };
    }
    const keyed: Keyed = this.#random.chance(plainShare)
      ? { type: "keyed", session: `key ${number}`, number: 0, done: 0, command: bytes }
      : this.#next(session, bytes);
    session.last = keyed;
    return keyed;
  }

  /** A client learned what became of what it sent. */
  ended(client: number, keyed: Keyed, outcome: "answered" | "unknown"): void {
    const session = this.#of(client);
    const isAgain = this.#random.chance(outcome === "unknown" ? againShare : answeredAgainShare);
    if (isAgain) session.again.push(keyed);
    const given = session.again.length > againMax ? session.again.shift() : undefined;
    for (const over of [given, isAgain && outcome === "unknown" ? undefined : keyed]) {
      if (over !== undefined && over.number > 0) session.open.delete(over.number);
    }
  }

  #next(session: Session, command: Uint8Array): Keyed {
    const number = session.next++;
    session.open.add(number);
    return { type: "keyed", session: session.name, number, done: this.#done(session), command };
  }

  /** The lowest number that is open. */
  #done(session: Session): number {
    return Math.min(session.next, ...session.open);
  }

  #of(client: number): Session {
    const session = this.#sessions.get(client) ??
      { name: `client ${client}`, next: 1, open: new Set(), again: [], last: null };
    this.#sessions.set(client, session);
    return session;
  }
}
