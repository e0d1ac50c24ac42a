/** Peers' requests that await their reply. Each gets exactly one, which is the response to it. */
import { PeerUnreachable } from "../errors.ts";
import type { ReplyMessage, RequestMessage } from "../raft/message.ts";
import type { RequestId } from "../raft/types.ts";

interface Waiting {
  readonly id: RequestId;
  readonly resolve: (reply: ReplyMessage) => void;
  readonly reject: (error: Error) => void;
}

export class Inbox {
  readonly #waiting = new Map<RequestId, Waiting>();
  readonly #max: number;
  #next: RequestId = 1;

  /** @param max requests that may wait at a time; more are refused. */
  constructor(max: number) {
    this.#max = max;
  }

  /**
   * Takes a request in under an id of this replica's own, so that two processes which both were peer n2, one after the
   * other, cannot get each other's replies.
   * @throws {PeerUnreachable} when too many wait.
   */
  admit(
    request: RequestMessage,
  ): { readonly request: RequestMessage; readonly reply: Promise<ReplyMessage> } {
    if (this.#waiting.size >= this.#max) {
      throw new PeerUnreachable("too many requests await their reply", false);
    }
    const id = this.#next++;
    const reply = new Promise<ReplyMessage>((resolve, reject) => {
      this.#waiting.set(id, { id: request.id, resolve, reject });
    });
    return { request: { ...request, id }, reply };
  }

  onReply(reply: ReplyMessage): void {
    const waiting = this.#waiting.get(reply.id);
    if (waiting === undefined) return;
    this.#waiting.delete(reply.id);
    waiting.resolve({ ...reply, id: waiting.id });
  }

  abandon(): void {
    for (const { reject } of this.#waiting.values()) {
      reject(new PeerUnreachable("this node is stopping", true));
    }
    this.#waiting.clear();
  }
}
