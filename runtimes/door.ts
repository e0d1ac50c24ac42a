/** What clients and peers come in by: it stays the same while what is behind it changes. */
import { problemOf, Refusal } from "../src/http/problem.ts";
import { type Bindings, targetOf } from "../src/http/target.ts";
import { problemType } from "../src/http/wire.ts";

/** A request's handler, as a server calls it. */
export type Handler = (request: Request, bindings?: Bindings) => Promise<Response>;

/** What is behind a door. */
export interface Room {
  readonly handle: Handler;
  /** Headers of every refusal at the door. */
  readonly marks: () => Readonly<Record<string, string>>;
}

/** Counts the clients' requests that are under way, and closes before the node stops. */
export class Door {
  #room: Room;
  #open = 0;
  #onEmpty: (() => void) | null = null;

  constructor(room: Room) {
    this.#room = room;
  }

  readonly handle: Handler = async (request, bindings) => {
    const { handle } = this.#room;
    if (isPeerRequest(targetOf(request.url, bindings))) return await handle(request, bindings);
    if (this.#onEmpty !== null) return this.#refuse(request.method);
    this.#open++;
    try {
      return await handle(request, bindings);
    } finally {
      this.#open--;
      this.#leave();
    }
  };

  /** Leads to another room from now on. Who is in the old one stays there. */
  leadTo(room: Room): void {
    this.#room = room;
  }

  /** Refuses what comes from now on; resolves when all that is under way is answered. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#onEmpty = resolve;
      this.#leave();
    });
  }

  #leave(): void {
    if (this.#open === 0) this.#onEmpty?.();
  }

  #refuse(method: string): Response {
    const refusal = problemOf(new Refusal("not_ready", "this node is stopping"), method);
    return new Response(JSON.stringify(refusal.body), {
      status: refusal.status,
      headers: { ...this.#room.marks(), ...refusal.headers, "content-type": problemType },
    });
  }
}

function isPeerRequest(target: string): boolean {
  return target.startsWith("/raft/");
}
