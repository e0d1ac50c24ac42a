/** What clients and peers come in by: it stays the same while what is behind it changes. */
import type { HostCheck } from "../src/http/host-check.ts";
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
  /** Members' URLs, as far as they are known. */
  readonly urls: () => readonly string[];
}

/** Counts the clients' requests that are under way, and closes before the node stops. Turns strange pages away. */
export class Door {
  #room: Room;
  readonly #hosts: HostCheck | null;
  #open = 0;
  #onEmpty: (() => void) | null = null;

  /** @param hosts null where somebody else has looked at `Host` and `Origin`. */
  constructor(room: Room, hosts: HostCheck | null) {
    this.#room = room;
    this.#hosts = hosts;
  }

  readonly handle: Handler = async (request, bindings) => {
    const { handle } = this.#room;
    const hosts = this.#hosts;
    if (isPeerRequest(targetOf(request.url, bindings))) {
      const entry = hosts?.isForPeers === true ? hosts.admit(request) : null;
      if (entry !== null && "refusal" in entry) return this.#refuse(request.method, entry.refusal);
      return await handle(request, bindings);
    }
    if (this.#onEmpty !== null) {
      return this.#refuse(request.method, new Refusal("not_ready", "this node is stopping"));
    }
    const admission = hosts === null ? null : hosts.admit(request);
    if (admission !== null) {
      if ("refusal" in admission) return this.#refuse(request.method, admission.refusal);
      if ("preflight" in admission) {
        return new Response(null, { status: 204, headers: admission.preflight });
      }
    }
    this.#open++;
    try {
      const answer = await handle(request, bindings);
      if (admission === null) return answer;
      for (const [name, value] of Object.entries(admission.cors)) answer.headers.set(name, value);
      return answer;
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

  #refuse(method: string, reason: Refusal): Response {
    const refusal = problemOf(reason, method);
    return new Response(JSON.stringify(refusal.body), {
      status: refusal.status,
      headers: { ...this.#room.marks(), ...refusal.headers, "content-type": problemType },
    });
  }
}

function isPeerRequest(target: string): boolean {
  return target.startsWith("/raft/");
}
