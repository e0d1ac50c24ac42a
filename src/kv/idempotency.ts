/**
 * Commands that take effect once: the answers to those that came with a session and a number are kept, so that the same
 * again gets the first one's answer (thesis 6.3). A session is forgotten a while after its last command; what it said
 * to have the answers to, at once, and then those commands are void.
 */
import { type KeyRange, OrderedMap } from "./ordered-map.ts";
import { behindTime, timeOfText, timeText } from "./time.ts";

/** A session lasts so long after its last command, in the cluster's time: over 10 minutes by any clock. */
export const sessionMs: number = 12 * 60_000;
/** What all that is kept may come to, in bytes; beyond, nothing new is taken on. */
export const keptBytesMax: number = 256 * 1024 * 1024;
/** Of this many times as much, for sessions that have just given something back. */
const reserve = 1.25;
/**
 * What a command may read, in bytes, once half of the table is taken: else a few large answers would shut out for minutes
 * whoever comes with a key.
 */
export const readBytesMax: number = 4096;
/** What a session, and an answer, cost beside their texts, in bytes of memory. */
const overheadBytes = 512;

/** So many are forgotten for one command at most: each costs some microseconds. */
const forgottenMax = 100;

/** Two halves of a hash of a command. */
export type Fingerprint = readonly [number, number];

/** Nobody changes a session or an answer: another takes its place. */
export interface Session {
  /** When its last command came, in the cluster's time. */
  readonly usedAt: number;
  /** It has the answers to all numbers below. */
  readonly done: number;
}
export interface Answer {
  readonly fingerprint: Fingerprint;
  /** The result, encoded. */
  readonly result: Uint8Array;
}

/** What is to become of a command. */
export type Verdict =
  | { readonly type: "first" }
  | { readonly type: "repeated"; readonly result: Uint8Array }
  /** Another command came with the same number. */
  | { readonly type: "reused" }
  | { readonly type: "done" }
  | { readonly type: "full" };

const all = { start: "", end: null };

export class Idempotency {
  readonly #sessions: OrderedMap<Session>;
  /** By session and number. */
  readonly #answers: OrderedMap<Answer>;
  /** Sessions by time of their last command. */
  readonly #used = new OrderedMap<true>();
  readonly #bytesMax: number;
  #bytes = 0;

  constructor(
    sessions: OrderedMap<Session> = new OrderedMap(),
    answers: OrderedMap<Answer> = new OrderedMap(),
    bytesMax: number = keptBytesMax,
  ) {
    this.#bytesMax = bytesMax;
    this.#sessions = sessions;
    this.#answers = answers;
    for (const [name, { usedAt }] of sessions.ascending(all)) {
      this.#used.set(timeText(usedAt) + name, true);
      this.#bytes += overheadBytes + name.length;
    }
    for (const [name, answer] of answers.ascending(all)) this.#bytes += answerBytes(name, answer);
  }

  /** Looks whether a command came before, and forgets what is old, or done with. */
  begin(
    name: string,
    { number, done, fingerprint }: {
      readonly number: number;
      readonly done: number;
      readonly fingerprint: Fingerprint;
    },
    time: number,
  ): Verdict {
    this.#forget(time);
    const session = this.#sessions.get(name);
    if (session !== undefined && number < session.done) return { type: "done" };
    const answer = this.#answers.get(nameOf(name, number));
    if (answer !== undefined) {
      const [first, second] = answer.fingerprint;
      if (first !== fingerprint[0] || second !== fingerprint[1]) return { type: "reused" };
      this.#use(name, session, { usedAt: time, done: session?.done ?? 0 });
      return { type: "repeated", result: answer.result };
    }
    // Of a number that is done by its own word nothing would be kept.
    const doneBelow = Math.max(session?.done ?? 0, Math.min(done, number));
    const bytesBefore = this.#bytes;
    if (session !== undefined) {
      this.#use(name, session, { usedAt: time, done: doneBelow });
      if (doneBelow > session.done) {
        this.#drop({ start: nameOf(name, 0), end: nameOf(name, doneBelow) });
      }
    }
    // Who makes room as it goes is not to wait for those who don't.
    const hasFreed = this.#bytes < bytesBefore;
    if (this.#bytes >= this.#bytesMax * (hasFreed ? reserve : 1)) return { type: "full" };
    if (session === undefined) this.#use(name, session, { usedAt: time, done: doneBelow });
    return { type: "first" };
  }

  /** What is kept, and what it comes to in bytes; new sessions are taken on below `bytesMax`. */
  get usage(): Readonly<Record<"sessions" | "answers" | "bytes" | "bytesMax", number>> {
    const [sessions, answers] = [this.#sessions.size, this.#answers.size];
    return { sessions, answers, bytes: this.#bytes, bytesMax: this.#bytesMax };
  }

  /** When the session that was used longest ago may be forgotten, in the cluster's time; 0 where there is none. */
  get freesAt(): number {
    const { first } = this.#used;
    return first === undefined ? 0 : timeOfText(first[0]) + sessionMs;
  }

  /** Half of all that can be kept is. */
  get isHalfFull(): boolean {
    return this.#bytes >= this.#bytesMax / 2;
  }

  /** Keeps the answer to a command that was the first of its number. */
  keep(name: string, number: number, answer: Answer): void {
    const text = nameOf(name, number);
    this.#answers.set(text, answer);
    this.#bytes += answerBytes(text, answer);
  }

  /** Sessions and answers as they are now. */
  freeze(): { readonly sessions: OrderedMap<Session>; readonly answers: OrderedMap<Answer> } {
    return { sessions: this.#sessions.clone(), answers: this.#answers.clone() };
  }

  #use(name: string, before: Session | undefined, after: Session): void {
    if (before === undefined) this.#bytes += overheadBytes + name.length;
    else this.#used.delete(timeText(before.usedAt) + name);
    this.#used.set(timeText(after.usedAt) + name, true);
    this.#sessions.set(name, after);
  }

  #forget(time: number): void {
    for (let count = 0; count < forgottenMax; count++) {
      const { first } = this.#used;
      if (first === undefined || timeOfText(first[0]) + sessionMs >= time) return;
      const name = behindTime(first[0]);
      this.#used.delete(first[0]);
      this.#sessions.delete(name);
      this.#bytes -= overheadBytes + name.length;
      this.#drop({ start: nameOf(name, 0), end: `${name}\x01` });
    }
  }

  #drop(range: KeyRange): void {
    for (const [text, answer] of [...this.#answers.ascending(range)]) {
      this.#answers.delete(text);
      this.#bytes -= answerBytes(text, answer);
    }
  }
}

/** A session's name holds no character below a space: no session's answers stand between another's. */
export function nameOf(session: string, number: number): string {
  return `${session}\0${timeText(number)}`;
}

/** The session and the number that {@link nameOf} made `text` of. */
export function partsOf(text: string): { readonly session: string; readonly number: number } {
  const end = text.indexOf("\0");
  return { session: text.slice(0, end), number: timeOfText(text.slice(end + 1)) };
}

function answerBytes(text: string, { result }: Answer): number {
  return overheadBytes + text.length + result.length;
}

/** A hash of a command's bytes. Two commands of one client with the same number and hash are the same. */
export function fingerprintOf(bytes: Uint8Array): Fingerprint {
  let first = 0x811c9dc5;
  let second = 0x1b873593;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!;
    first = Math.imul(first ^ byte, 0x01000193);
    second = Math.imul(second ^ byte, 0x85ebca6b);
    second = second << 13 | second >>> 19;
  }
  return [(first ^ bytes.length) >>> 0, second >>> 0];
}
