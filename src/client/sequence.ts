/**
 * The numbers of a client's writes. The cluster keeps the answer to each number of a session until the session says
 * that it has all answers below another: so a write may be sent as often as it takes, and takes effect once.
 *
 * - A number is drawn when its write is first sent, and never again.
 * - `done` is the lowest number that is still open. A number is closed when its answer has come, or when it was given
 *   up: it is not sent any more then, and an attempt that is still on its way is void once `done` has overtaken it.
 */
import { idempotencyHeader, sequenceHeader } from "../http/wire.ts";

const SESSION_BYTES = 16;

/** A number's headers, at the time of sending. */
export class Sequence {
  /** Random: nobody else's. */
  readonly session: string = Array.from(
    crypto.getRandomValues(new Uint8Array(SESSION_BYTES)),
    (byte) => byte.toString(16).padStart(2, "0"),
  ).join("");
  /** Ascending, as they are drawn. */
  readonly #open = new Set<number>();
  #next = 1;

  /** Opens the next number. */
  draw(): number {
    const number = this.#next++;
    this.#open.add(number);
    return number;
  }

  /** The write of this number will not be sent again. */
  close(number: number): void {
    this.#open.delete(number);
  }

  /** What a write of this number carries. */
  headers(number: number): Readonly<Record<string, string>> {
    const [lowest = this.#next] = this.#open;
    return { [idempotencyHeader]: this.session, [sequenceHeader]: `${number};done=${lowest}` };
  }
}
