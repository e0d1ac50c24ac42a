/**
 * The simulated network. Every message takes a time of its own, so they overtake each other; it may be lost, come
 * twice, wait for a clogged path or meet a cut one. Bodies pass through the codec of `peer-wire.ts` both ways.
 */
import { PeerUnreachable } from "../../src/errors.ts";
import * as wire from "../../src/adapters/peer-wire.ts";
import type {
  Clock,
  ForwardReply,
  ManageReply,
  ManageRequest,
  PeerHandler,
  SnapshotChunk,
  SnapshotChunkReply,
  Transport,
} from "../../src/ports.ts";
import type { Message, ReplyMessage, RequestMessage } from "../../src/raft/message.ts";
import type { Probes } from "./probes.ts";
import { admit, type ReleaseWire, type Saying, sayingOf } from "./releases.ts";
import type { Random } from "./random.ts";
import type { Trace } from "./trace.ts";
import type { Owner, World } from "./world.ts";

/** A machine, or clients as a whole, on the network. */
export interface Endpoint extends Owner {
  readonly id: string;
  /** What listens there now. */
  handler: PeerHandler | null;
  /** Of its process, what it speaks and needs. */
  readonly wire?: ReleaseWire | null;
}

export interface NetworkRates {
  /** Mean of an exponential distribution. */
  delayMs: number;
  /** The slowest in twenty take so many times longer: answers to one attempt that come in the next. */
  straggling: number;
  loss: number;
  duplicates: number;
}

/**
 * How often something may arrive. `anyNumberInALife`: a second time only at the process that ran when it was sent; a
 * restarted follower that answers a heartbeat which its earlier process had answered as well takes the leader's
 * acknowledgement of the first answer for one of its own, and holds its state to be fresher than it is. Over HTTP no
 * request reaches two processes.
 */
type Copies = "once" | "anyNumber" | "anyNumberInALife";

const wireLimits: wire.PeerWireLimits = {
  bodyBytesMax: 8 * 1024 * 1024,
  records: { payloadBytesMax: 2 * 1024 * 1024, entriesMax: 100_000 },
};
/** The least time that a message takes, in microseconds. */
const delayUsMin = 50;

export class Network {
  rates: NetworkRates;
  /** Told of every message of the core, when it leaves. */
  onSend: (message: Message) => void = () => {};
  /** And when a request arrives. */
  onArrive: (message: Message) => void = () => {};
  /** And of each request, how many milliseconds its sender waits for the reply, lost or not. */
  onWait: (from: string, to: string, timeoutMs: number) => void = () => {};
  /** Nobody changes the cluster any more: what was asked for before and is still on its way is refused. */
  isCalm = false;
  readonly world: World;
  readonly trace: Trace;
  readonly probes: Probes;
  readonly #random: Random;
  /** How many cuts each direction has. */
  readonly #cuts = new Map<string, number>();
  readonly #clogs = new Map<string, number>();
  readonly #handling = new Set<
    { readonly to: Endpoint; readonly life: number; readonly since: number }
  >();

  constructor(
    parts: {
      readonly world: World;
      readonly trace: Trace;
      readonly probes: Probes;
      readonly random: Random;
    },
    rates: NetworkRates,
  ) {
    this.world = parts.world;
    this.trace = parts.trace;
    this.probes = parts.probes;
    this.#random = parts.random;
    this.rates = rates;
  }

  /** A process begins to handle a request. Returns what to call when it has an answer. */
  handling(to: Endpoint): () => void {
    const one = { to, life: to.life, since: this.world.now };
    this.#handling.add(one);
    return () => void this.#handling.delete(one);
  }

  /** The nodes whose present process has owed somebody an answer for longer than `us` microseconds. */
  owing(us: number): ReadonlySet<string> {
    const owing = new Set<string>();
    for (const { to, life, since } of this.#handling) {
      if (to.life === life && this.world.now - since > us) owing.add(to.id);
    }
    return owing;
  }

  /** Cuts one direction. Returns how to mend it. */
  cut(from: string, to: string): () => void {
    const path = `${from} ${to}`;
    this.#cuts.set(path, (this.#cuts.get(path) ?? 0) + 1);
    return () => void this.#cuts.set(path, (this.#cuts.get(path) ?? 1) - 1);
  }

  /** What is sent from one to the other arrives after `until` (microseconds), all at once. */
  clog(from: string, to: string, until: number): void {
    const path = `${from} ${to}`;
    this.#clogs.set(path, Math.max(until, this.#clogs.get(path) ?? 0));
  }

  unclog(): void {
    this.#clogs.clear();
  }

  /** Carries something: `arrive` happens to whatever process the receiver runs then, perhaps twice, perhaps never. */
  carry(from: Endpoint, to: Endpoint, arrive: () => void, copies: Copies): void {
    const random = this.#random;
    const { delayMs, straggling, loss, duplicates } = this.rates;
    const ms = random.exponential(delayMs);
    const isSlow = ms > 3 * delayMs;
    const delay = this.#arrival(from.id, to.id, isSlow ? ms * straggling : ms);
    const isLost = random.chance(loss);
    if (copies !== "once" && random.chance(duplicates)) {
      const at = this.#arrival(from.id, to.id, random.exponential(4 * delayMs));
      this.probes.reached("fault: duplicates");
      const again = (): void => {
        this.probes.reached("message arrived twice");
        this.#deliver(from, to, arrive);
      };
      if (copies === "anyNumber") this.world.atOwner(at, to, again);
      else this.world.atProcess(at, to, to.life, again);
    }
    if (isLost) return this.probes.reached("fault: loss");
    this.world.atOwner(delay, to, () => this.#deliver(from, to, arrive));
  }

  #arrival(from: string, to: string, delayMs: number): number {
    const at = this.world.now + delayUsMin + Math.round(delayMs * 1000);
    return Math.max(at, this.#clogs.get(`${from} ${to}`) ?? 0);
  }

  /** What is on its way when the path is cut is lost, too. */
  #deliver(from: Endpoint, to: Endpoint, arrive: () => void): void {
    if ((this.#cuts.get(`${from.id} ${to.id}`) ?? 0) === 0) arrive();
  }
}

/** What happens at the other end: bytes are decoded, handled, and the reply encoded. */
type Handle = (handler: PeerHandler) => Promise<Uint8Array>;

interface Call {
  readonly to: Endpoint;
  /** By the asking machine's clock. */
  readonly deadline: number;
  readonly copies: Copies;
  readonly saying: Saying | null;
  readonly resolve: (bytes: Uint8Array) => void;
  readonly reject: (error: PeerUnreachable) => void;
}

/** The transport of one process. */
export class SimTransport implements Transport {
  readonly #network: Network;
  readonly #self: Endpoint;
  readonly #life: number;
  readonly #clock: Clock;
  readonly #peers: ReadonlyMap<string, Endpoint>;
  readonly #calls = new Set<Call>();
  #expiresAt = Infinity;
  #disarm: () => void = () => {};
  #closed = false;

  constructor(
    network: Network,
    self: Endpoint,
    peers: ReadonlyMap<string, Endpoint>,
    clock: Clock,
  ) {
    this.#network = network;
    this.#self = self;
    this.#life = self.life;
    this.#peers = peers;
    this.#clock = clock;
  }

  async request(message: RequestMessage, timeoutMs: number): Promise<ReplyMessage> {
    const { type, to } = message;
    if (this.#self.life === this.#life) this.#network.onSend(message);
    const body = wire.encodeRequest(message);
    const copies = type === "heartbeat" ? "anyNumberInALife" : "anyNumber";
    const bytes = await this.#call(to, timeoutMs, copies, body, async (handler) => {
      const life = this.#peers.get(to)?.life;
      this.#network.onArrive(message);
      const reply = await handler.receive(wire.decodeRequest(type, body, wireLimits));
      // What a process does after its end nobody sees.
      if (this.#peers.get(to)?.life === life) this.#network.onSend(reply);
      return wire.encodeReply(reply);
    });
    return wire.decodeReply(type, bytes, wireLimits);
  }

  /** Never delivered twice: the wire's signatures see to that. */
  async forward(to: string, command: Uint8Array, timeoutMs: number): Promise<ForwardReply> {
    const body = wire.encodeForward({ command, timeoutMs: Math.max(0, timeoutMs) });
    this.#network.probes.reached("write forwarded");
    const bytes = await this.#call(to, timeoutMs, "once", body, async (handler) => {
      const request = wire.decodeForward(body, wireLimits);
      return wire.encodeForwardReply(await handler.forwarded(request.command, request.timeoutMs));
    });
    return wire.decodeForwardReply(bytes, wireLimits);
  }

  /** Never delivered twice either. */
  async manage(to: string, request: ManageRequest, timeoutMs: number): Promise<ManageReply> {
    const body = wire.encodeManage({ request, timeoutMs: Math.max(0, timeoutMs) });
    const bytes = await this.#call(to, timeoutMs, "once", body, async (handler) => {
      if (this.#network.isCalm) throw new Error("nobody is to manage the cluster any more");
      const call = wire.decodeManage(body, wireLimits);
      return wire.encodeManageReply(await handler.managed(call.request, call.timeoutMs));
    });
    return wire.decodeManageReply(bytes, wireLimits);
  }

  async sendChunk(chunk: SnapshotChunk, timeoutMs: number): Promise<SnapshotChunkReply> {
    const body = wire.encodeChunk(chunk);
    if (chunk.offset > 0) this.#network.probes.reached("snapshot sent in several chunks");
    const bytes = await this.#call(
      chunk.to,
      timeoutMs,
      "anyNumber",
      body,
      async (handler) =>
        wire.encodeChunkReply(await handler.receiveChunk(wire.decodeChunk(body, wireLimits))),
    );
    return wire.decodeChunkReply(bytes, wireLimits);
  }

  setUrls(): void {}

  close(): void {
    this.#closed = true;
    for (const { to, reject } of this.#calls) {
      reject(new PeerUnreachable(`${to.id}: this node is stopping`, true));
    }
    this.#calls.clear();
  }

  /** An exchange with an end: its reply, a refusal, its deadline, or the transport's close. */
  #call(
    id: string,
    timeoutMs: number,
    copies: Call["copies"],
    body: Uint8Array,
    handle: Handle,
  ): Promise<Uint8Array> {
    const to = this.#peers.get(id);
    if (this.#closed || to === undefined || this.#self.life !== this.#life) {
      return Promise.reject(new PeerUnreachable(`${id}: this node is stopping`, false));
    }
    this.#network.onWait(this.#self.id, id, timeoutMs);
    return new Promise((resolve, reject) => {
      const { wire = null, id: from } = this.#self;
      const saying = wire === null ? null : sayingOf(from, wire);
      const deadline = this.#clock.now() + timeoutMs;
      const call = { to, deadline, copies, saying, resolve, reject };
      this.#calls.add(call);
      this.#network.trace.mixBytes(body);
      this.#network.carry(this.#self, to, () => this.#arrived(call, handle), copies);
      this.#expireLater(call.deadline);
    });
  }

  /** At the receiver. */
  #arrived(call: Call, handle: Handle): void {
    const { to, copies } = call;
    const { handler, life } = to;
    if (handler === null) {
      this.#network.probes.reached("connection refused");
      const refused = new PeerUnreachable(`${to.id}: the connection was refused`, false);
      return this.#back(call, () => call.reject(refused));
    }
    const answered = this.#network.handling(to);
    const { wire = null } = to;
    const handled = call.saying === null || wire === null
      ? handle(handler)
      : admit(wire, call.saying, (what) => this.#network.probes.reached(what))
        .then(() => handle(handler));
    const spoken = wire?.speaks ?? 1;
    handled.finally(answered).then(
      (bytes) => {
        if (to.life !== life) return;
        this.#network.trace.mixBytes(bytes);
        this.#back(call, () => {
          this.#self.wire?.hear(to.id, spoken);
          call.resolve(bytes);
        }, copies);
      },
      (error: unknown) => {
        if (to.life !== life) return;
        const failed = error instanceof PeerUnreachable
          ? error
          : new PeerUnreachable(`${to.id}: ${String(error)}`, true);
        this.#back(call, () => call.reject(failed));
      },
    );
  }

  #back(call: Call, settle: () => void, copies: Call["copies"] = "once"): void {
    const arrive = (): void => {
      if (this.#self.life === this.#life && this.#calls.delete(call)) settle();
    };
    this.#network.carry(call.to, this.#self, arrive, copies);
  }

  /** One timer, for the earliest deadline. */
  #expireLater(deadline: number): void {
    if (deadline >= this.#expiresAt) return;
    this.#expiresAt = deadline;
    this.#disarm();
    this.#disarm = this.#clock.timer(deadline, () => {
      this.#expiresAt = Infinity;
      const now = this.#clock.now();
      let next = Infinity;
      for (const call of this.#calls) {
        if (call.deadline > now) next = Math.min(next, call.deadline);
        else this.#expire(call);
      }
      if (next < Infinity) this.#expireLater(next);
    });
  }

  #expire(call: Call): void {
    this.#calls.delete(call);
    this.#network.probes.reached("request timed out");
    call.reject(new PeerUnreachable(`${call.to.id}: no answer in time`, true));
  }
}
