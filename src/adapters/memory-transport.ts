/**
 * A network of replicas in one process, for tests and demonstrations. Messages pass through the codec of
 * `peer-wire.ts` both ways, so what arrives is what would have travelled; only HTTP and signatures are left out.
 * Nothing arrives in the turn in which it was sent.
 */
import { PeerUnreachable } from "../errors.ts";
import type {
  Clock,
  ForwardReply,
  ManageReply,
  ManageRequest,
  PeerHandler,
  SnapshotChunk,
  SnapshotChunkReply,
  Transport,
} from "../ports.ts";
import type { ReplyMessage, RequestMessage } from "../raft/message.ts";
import type { NodeId } from "../raft/types.ts";
import * as wire from "./peer-wire.ts";

export interface MemoryNetworkOptions {
  readonly clock: Clock;
  readonly limits: wire.PeerWireLimits;
  /** Milliseconds that a message takes, asked for each request and each reply. Default: 0, a microtask. */
  readonly delayMs?: (from: NodeId, to: NodeId) => number;
  /** Whether a message is lost, asked for each request and each reply. Default: none is. */
  readonly isLost?: (from: NodeId, to: NodeId) => boolean;
}

export interface MemoryNetwork {
  /** The transport of one replica. URLs mean nothing to it. */
  transport(id: NodeId): Transport;
  /** Delivers to `handler` what is sent to `id` from now on. */
  attach(id: NodeId, handler: PeerHandler): void;
  /** As if the process had ended: requests are refused, and replies to those on their way are lost. */
  detach(id: NodeId): void;
  /** Loses what is sent from one to the other. The other way stays open. */
  cut(from: NodeId, to: NodeId): void;
  heal(from: NodeId, to: NodeId): void;
}

export function createMemoryNetwork(options: MemoryNetworkOptions): MemoryNetwork {
  const { clock, limits, delayMs = () => 0, isLost = () => false } = options;
  const handlers = new Map<NodeId, PeerHandler>();
  const cuts = new Set<string>();

  /** Carries a message; false where it is lost on the way. */
  async function travel(from: NodeId, to: NodeId): Promise<boolean> {
    const lost = isLost(from, to);
    const delay = delayMs(from, to);
    if (delay > 0) {
      await new Promise<void>((resolve) => clock.timer(clock.now() + delay, resolve));
    }
    return !lost && !cuts.has(`${from} ${to}`);
  }

  async function exchange(from: NodeId, to: NodeId, handle: Handle): Promise<Uint8Array> {
    if (!(await travel(from, to))) return await lost;
    const handler = handlers.get(to);
    if (handler === undefined) throw new PeerUnreachable("the connection was refused", false);
    const reply = await handle(handler);
    const arrived = await travel(to, from);
    return arrived && handlers.get(to) === handler ? reply : await lost;
  }

  return {
    transport: (id) => new MemoryTransport(clock, limits, (to, handle) => exchange(id, to, handle)),
    attach: (id, handler) => void handlers.set(id, handler),
    detach: (id) => void handlers.delete(id),
    cut: (from, to) => void cuts.add(`${from} ${to}`),
    heal: (from, to) => void cuts.delete(`${from} ${to}`),
  };
}

/** What happens at the other end: bytes are decoded, handled, and the reply encoded. */
type Handle = (handler: PeerHandler) => Promise<Uint8Array>;
/** Resolves to the reply's bytes, or never where the request or the reply is lost. */
type Exchange = (to: NodeId, handle: Handle) => Promise<Uint8Array>;

const lost = new Promise<never>(() => {});

class MemoryTransport implements Transport {
  readonly #clock: Clock;
  readonly #limits: wire.PeerWireLimits;
  readonly #exchange: Exchange;
  /** How to fail each call on its way. */
  readonly #calls = new Set<(error: PeerUnreachable) => void>();
  #closed = false;

  constructor(clock: Clock, limits: wire.PeerWireLimits, exchange: Exchange) {
    this.#clock = clock;
    this.#limits = limits;
    this.#exchange = exchange;
  }

  async request(message: RequestMessage, timeoutMs: number): Promise<ReplyMessage> {
    const { type, to } = message;
    const body = wire.encodeRequest(message);
    const bytes = await this.#call(
      to,
      timeoutMs,
      async (handler) =>
        wire.encodeReply(await handler.receive(wire.decodeRequest(type, body, this.#limits))),
    );
    return wire.decodeReply(type, bytes, this.#limits);
  }

  async forward(to: NodeId, command: Uint8Array, timeoutMs: number): Promise<ForwardReply> {
    const body = wire.encodeForward({ command, timeoutMs: Math.max(0, timeoutMs) });
    const bytes = await this.#call(to, timeoutMs, async (handler) => {
      const request = wire.decodeForward(body, this.#limits);
      return wire.encodeForwardReply(await handler.forwarded(request.command, request.timeoutMs));
    });
    return wire.decodeForwardReply(bytes, this.#limits);
  }

  async manage(to: NodeId, request: ManageRequest, timeoutMs: number): Promise<ManageReply> {
    const body = wire.encodeManage({ request, timeoutMs: Math.max(0, timeoutMs) });
    const bytes = await this.#call(to, timeoutMs, async (handler) => {
      const call = wire.decodeManage(body, this.#limits);
      return wire.encodeManageReply(await handler.managed(call.request, call.timeoutMs));
    });
    return wire.decodeManageReply(bytes, this.#limits);
  }

  async sendChunk(chunk: SnapshotChunk, timeoutMs: number): Promise<SnapshotChunkReply> {
    const body = wire.encodeChunk(chunk);
    const bytes = await this.#call(
      chunk.to,
      timeoutMs,
      async (handler) =>
        wire.encodeChunkReply(await handler.receiveChunk(wire.decodeChunk(body, this.#limits))),
    );
    return wire.decodeChunkReply(bytes, this.#limits);
  }

  setUrls(): void {}

  close(): void {
    this.#closed = true;
    for (const fail of this.#calls) fail(new PeerUnreachable("this node is stopping", true));
  }

  /** An exchange with an end: its reply, its failure, its deadline, or the transport's close. */
  #call(to: NodeId, timeoutMs: number, handle: Handle): Promise<Uint8Array> {
    if (this.#closed) return Promise.reject(new PeerUnreachable("this node is stopping", false));
    return new Promise((resolve, reject) => {
      const end = (): void => {
        this.#calls.delete(fail);
        cancel();
      };
      const fail = (error: unknown): void => {
        end();
        const { message, maybeReceived } = error instanceof PeerUnreachable
          ? error
          : { message: String(error), maybeReceived: true };
        reject(new PeerUnreachable(`${to}: ${message}`, maybeReceived));
      };
      const cancel = this.#clock.timer(
        this.#clock.now() + timeoutMs,
        () => fail(new PeerUnreachable("no answer in time", true)),
      );
      this.#calls.add(fail);
      this.#exchange(to, handle).then((bytes) => {
        end();
        resolve(bytes);
      }, fail);
    });
  }
}
