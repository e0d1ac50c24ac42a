/** Messages on their way, each until it is taken off or lost, and what became of the requests among them. */
import type { Message, MessageType, NodeId } from "../../src/raft/mod.ts";
import { isReply } from "../../src/raft/mod.ts";
import type { Snapshot } from "./disk.ts";

/** A message on its way, with the snapshot that travels beside it. */
export interface Parcel {
  readonly message: Message;
  readonly snapshot: Snapshot | null;
}

/** Which messages are meant; what is left out matches all. */
export interface Which {
  readonly from?: NodeId;
  readonly to?: NodeId;
  readonly type?: MessageType;
}

interface Request {
  readonly message: Message;
  /** `lost` where it or its reply was; `failed` once its sender was told that no reply will come. */
  state: "open" | "lost" | "failed";
}

export class Network {
  /** Oldest first. */
  parcels: Parcel[] = [];
  /** Told of each request that is lost, or whose reply is. */
  onLoss: (request: Message) => void = () => {};
  readonly #requests = new Map<string, Request>();

  send(message: Message, snapshot: Snapshot | null): void {
    if (!isReply(message)) this.#requests.set(keyOf(message), { message, state: "open" });
    this.parcels.push({ message, snapshot });
  }

  find({ from, to, type }: Which): Parcel[] {
    return this.parcels.filter(({ message }) =>
      (from === undefined || message.from === from) &&
      (to === undefined || message.to === to) &&
      (type === undefined || message.type === type)
    );
  }

  /** Takes a parcel off. */
  take(parcel: Parcel): Message {
    this.parcels = this.parcels.filter((other) => other !== parcel);
    return parcel.message;
  }

  /** The message did not arrive. */
  lose(message: Message): void {
    const request = this.#requests.get(keyOf(message));
    if (request?.state !== "open") return;
    request.state = "lost";
    this.onLoss(request.message);
  }

  /** A reply arrived; false where its request was already reported as failed: then it has no response any more. */
  answer(reply: Message): boolean {
    const key = keyOf(reply);
    if (this.#requests.get(key)?.state === "failed") return false;
    this.#requests.delete(key);
    return true;
  }

  /** Reports a request as failed; false where it was answered. */
  fail(from: NodeId, id: number): boolean {
    const request = this.#requests.get(`${from} ${id}`);
    if (request === undefined) return false;
    request.state = "failed";
    return true;
  }

  /** A process died: responses have nobody to go to any more, and who waits for one of its will wait in vain. */
  died(id: NodeId): void {
    this.parcels = this.parcels.filter(({ message }) => !(isReply(message) && message.to === id));
    for (const [key, { message }] of this.#requests) {
      if (message.from === id) this.#requests.delete(key);
      else if (message.to === id && !this.#travels(key)) this.lose(message);
    }
  }

  /** Whether a request, or its reply, is on its way. */
  #travels(key: string): boolean {
    return this.parcels.some(({ message }) => keyOf(message) === key);
  }
}

/** A request and its reply have the same key: who asked, and the id. */
function keyOf(message: Message): string {
  return `${isReply(message) ? message.to : message.from} ${message.id}`;
}
