/**
 * A cluster in memory: cores, disks that lose what was not synced, a network whose every message waits to be
 * delivered, one clock. Nothing happens that was not asked for, and the same calls give the same run.
 */
import { invariant } from "../../src/assert.ts";
import type {
  Configuration,
  Effects,
  Membership,
  Message,
  MessageType,
  NodeId,
  Persist,
  RaftEvent,
  ReadLevel,
} from "../../src/raft/mod.ts";
import { isReply } from "../../src/raft/mod.ts";
import type { Snapshot } from "./disk.ts";
import { Invariants } from "./invariants.ts";
import { Network } from "./network.ts";
import type { Parcel } from "./network.ts";
import { TestNode } from "./node.ts";
import { configurationOf, raftOptionsOf } from "./options.ts";
import type { ClusterOptions } from "./options.ts";
import { answerText, entryNames, entryText, messageText, persistText } from "./notation.ts";

/** Requests of a restarted process get ids of their own: a reply never outlives the process that asked. */
const requestsPerLife = 1_000_000_000;

const bytes = new TextEncoder();

export class Cluster {
  /** Milliseconds. */
  time = 0;
  readonly network: Network = new Network();
  readonly nodes: Map<NodeId, TestNode> = new Map();
  readonly invariants: Invariants;
  readonly configuration: Configuration;
  /** A path that loses everything. */
  cut: (from: NodeId, to: NodeId) => boolean = () => false;
  trace: (line: string) => void;
  /** Whether messages are traced when they leave; else when they arrive. */
  traceSends: boolean = true;
  #request = 0;

  constructor(options: ClusterOptions) {
    this.configuration = configurationOf(options);
    this.trace = options.trace ?? (() => {});
    const ids = [...Object.keys(this.configuration.urls), ...(options.spares ?? [])];
    ids.forEach((id, position) => {
      if (options.absent?.includes(id) === true) return;
      const node = new TestNode(raftOptionsOf(id, position, options), this.configuration);
      this.nodes.set(id, node);
    });
    const disks = new Map([...this.nodes].map(([id, node]) => [id, node.disk]));
    this.invariants = new Invariants(disks, this.configuration);
    for (const id of this.nodes.keys()) this.#start(id);
  }

  node(id: NodeId): TestNode {
    const node = this.nodes.get(id);
    if (node === undefined) throw new Error(`no node ${id}`);
    return node;
  }

  get alive(): TestNode[] {
    return [...this.nodes.values()].filter((node) => node.alive);
  }

  /** The leader of the highest term. */
  get leader(): TestNode | null {
    const leaders = this.alive.filter((node) => node.status.role === "leader");
    return leaders.sort((a, b) => b.status.term - a.status.term)[0] ?? null;
  }

  /** One event into one core, and all that follows within that node. */
  step(id: NodeId, event: RaftEvent): Effects {
    const node = this.node(id);
    const committed = node.status.commit;
    const effects = node.step(event, this.time);
    this.invariants.stepped(node, this.time);
    for (const message of effects.send) this.#send(node, message);
    if (effects.restore !== null) {
      this.invariants.restoring(id, effects.restore, node.applied);
      node.restore(effects.restore.index);
      this.trace(`${id} restores snapshot ${effects.restore.index}@${effects.restore.term}`);
    }
    if (effects.persist !== null) this.#write(node, effects.persist, committed);
    for (const entry of effects.apply) {
      this.invariants.applying(node, entry, node.unapplied.at(-1)?.index ?? node.applied);
      node.unapplied.push(entry);
    }
    for (const answer of effects.answers) {
      this.invariants.answered(id, answer);
      this.trace(`${id} ${answerText(answer)}`);
    }
    if (effects.compactBefore !== null) {
      node.disk.compactBefore(effects.compactBefore);
      this.trace(`${id} compacts before ${effects.compactBefore}`);
    }
    if (node.applyPace === "auto") this.apply(id);
    if (node.diskPace === "auto") this.persist(id);
    const staleness = node.staleness(this.time);
    if (staleness !== null) {
      this.invariants.fresh(id, this.time - staleness, node.applied);
    }
    return effects;
  }

  #write(node: TestNode, persist: Persist, committed: number): void {
    this.invariants.writing(node, persist, committed);
    node.disk.write(persist);
    if (node.diskPace === "auto") return;
    const held = persist.sendAfter.map((message) => `, holding ${messageText(message)}`).join("");
    this.trace(`${node.id} starts write ${persist.seq}: ${persistText(persist)}${held}`);
  }

  /** Completes writes of a node's disk, all of them unless told how many. */
  persist(id: NodeId, count: number = Number.POSITIVE_INFINITY): void {
    const node = this.node(id);
    for (let done = 0; done < count && node.disk.pending.length > 0; done++) {
      const persist = node.complete();
      const what = persistText(persist);
      if (what !== "nothing" || node.diskPace === "manual") {
        this.trace(`${id} persists ${what}`);
      }
      for (const message of persist.sendAfter) this.#send(node, message);
      this.step(id, { type: "persisted", seq: persist.seq });
    }
  }

  /** Applies what a node may apply, and tells its core. */
  apply(id: NodeId): void {
    const node = this.node(id);
    if (node.unapplied.length === 0) return;
    const from = node.applied;
    const entries = [...node.unapplied];
    while (node.unapplied.length > 0) node.apply();
    const names = entries.length > 3 ? [entryNames(entries)] : entries.map(entryText);
    this.trace(`${id} applies ${names.join(", ")}`);
    if (node.applied > from) this.step(id, { type: "applied", index: node.applied });
  }

  #send(node: TestNode, message: Message): void {
    this.invariants.sending(node, message);
    const sent = isReply(message)
      ? message
      : { ...message, id: message.id + node.life * requestsPerLife };
    // Of snapshots the newest travels, as the driver has it.
    const { snapshot } = node.disk;
    if (sent.type === "installSnapshot") {
      this.network.send({ ...sent, meta: snapshot.meta }, snapshot);
    } else {
      this.network.send(sent, null);
    }
    if (this.traceSends) this.trace(messageText(message));
  }

  /** Takes a parcel off the network and hands it over; it is lost where the way is cut or nobody is there. */
  deliver(parcel: Parcel): void {
    const message = this.network.take(parcel);
    const to = this.nodes.get(message.to);
    if (to?.paused === true) throw new Error(`${to.id} is paused`);
    if (to === undefined || !to.alive || this.cut(message.from, message.to)) {
      this.trace(`${messageText(message)} is lost`);
      this.network.lose(message);
      return;
    }
    // The process that asked is gone, and with it the connection; or it was told that no answer will come.
    const life = Math.floor(message.id / requestsPerLife);
    if (isReply(message) && (life !== to.life || !this.network.answer(message))) return;
    if (!this.traceSends) this.trace(messageText(message));
    this.inject(message, parcel.snapshot);
  }

  /** Hands a message over that need not have been sent. */
  inject(message: Message, snapshot: Snapshot | null = null): Effects {
    this.invariants.receiving(message);
    if (message.type === "installSnapshot") this.node(message.to).staged = snapshot;
    const id = isReply(message) ? message.id % requestsPerLife : message.id;
    return this.step(message.to, { type: "receive", message: { ...message, id } });
  }

  drop(parcel: Parcel): void {
    this.network.lose(this.network.take(parcel));
  }

  /** The transport says that a request's answer will not come. */
  unreachable({ from, to, id }: Message): void {
    if (!this.network.fail(from, id) || !this.node(from).alive) return;
    this.step(from, { type: "unreachable", peer: to, request: id % requestsPerLife });
  }

  crash(id: NodeId, survivingWrites: number = 0): void {
    this.node(id).crash(survivingWrites);
    this.invariants.died(id);
    this.network.died(id);
  }

  restart(id: NodeId): void {
    this.#start(id);
  }

  /** As the driver does: the first event tells what the state machine has, and starts the clock. */
  #start(id: NodeId): void {
    const node = this.node(id);
    node.start();
    this.invariants.stepped(node, this.time);
    this.step(id, { type: "applied", index: node.applied });
  }

  propose(id: NodeId, ...commands: readonly string[]): Effects {
    return this.step(id, {
      type: "propose",
      id: ++this.#request,
      commands: commands.map((command) => bytes.encode(command)),
    });
  }

  /** Returns the read's id. */
  read(id: NodeId, level: ReadLevel): number {
    const request = ++this.#request;
    this.invariants.readAsked(id, request);
    this.step(id, { type: "read", id: request, level });
    return request;
  }

  transfer(id: NodeId, target: NodeId | null): Effects {
    return this.step(id, { type: "transfer", id: ++this.#request, target });
  }

  /** Asks for another membership; `cancels` in the place of one that still waits for its newcomers. */
  change(
    id: NodeId,
    { voters, learners }: Membership,
    { cancels }: { readonly cancels: boolean } = { cancels: false },
  ): Effects {
    const urls = Object.fromEntries([...voters, ...learners].map((one) => [one, `http://${one}`]));
    const target = { voters, learners, urls };
    return this.step(id, { type: "change", id: ++this.#request, target, cancels });
  }

  snapshot(id: NodeId): void {
    const { meta } = this.node(id).snapshot();
    this.trace(`${id} takes snapshot ${meta.index}@${meta.term}`);
    this.step(id, { type: "snapshotted", meta });
  }

  /** Moves this node's clock alone to its next deadline until it campaigns. */
  campaign(id: NodeId): void {
    const node = this.node(id);
    const { role, term } = node.status;
    for (let attempt = 0; attempt < 10; attempt++) {
      if (!Number.isFinite(node.deadline)) throw new Error(`${id} waits for nothing`);
      node.clock.offset += Math.max(0, node.deadline - node.now(this.time));
      this.step(id, { type: "timeout" });
      const now = node.status;
      if (
        now.role !== role || now.term !== term || role === "preCandidate" || role === "candidate"
      ) {
        return;
      }
    }
    throw new Error(`${id} does not campaign`);
  }

  /** Lets time pass; timers fire, messages wait. `between` runs after each timer. */
  tick(ms: number, between: () => void = () => {}): void {
    const end = this.time + ms;
    while (this.timeout(end)) between();
    this.time = end;
  }

  /** Moves on to the first timer that is due by `end` and fires it; false where there is none. */
  timeout(end: number): boolean {
    const next = this.#nextTimer();
    if (next === null || next.at > end) return false;
    const { node, at } = next;
    this.time = Math.max(this.time, at);
    // Rounding on the way from one clock to the other must not make it early.
    const early = node.deadline - node.now(this.time);
    if (early > 0) node.clock.offset += early;
    // What one timeout brings about may be due at once in its turn, but not for ever.
    for (let again = 0; node.deadline <= node.now(this.time); again++) {
      invariant(
        again < 3,
        `${node.id} wants a timeout at ${node.deadline} again, and it is ${node.now(this.time)}`,
      );
      this.step(node.id, { type: "timeout" });
    }
    return true;
  }

  #nextTimer(): { readonly node: TestNode; readonly at: number } | null {
    let next: { readonly node: TestNode; readonly at: number } | null = null;
    for (const node of this.alive) {
      const at = node.timeOf(node.deadline);
      if (Number.isFinite(at) && (next === null || at < next.at)) next = { node, at };
    }
    return next;
  }

  /** Delivers until nothing is on its way between `among` (all, unless told); who is paused doesn't listen. */
  stabilize(among: readonly NodeId[] = [...this.nodes.keys()]): void {
    const inside = ({ message }: Parcel): boolean =>
      among.includes(message.from) && among.includes(message.to) &&
      this.nodes.get(message.to)?.paused !== true;
    for (let delivered = 0; delivered < 10_000; delivered++) {
      const parcel = this.network.parcels.find(inside);
      if (parcel === undefined) return;
      this.deliver(parcel);
    }
    throw new Error("the messages do not end");
  }

  /** Lets time pass with a network that delivers at once. */
  run(ms: number): void {
    this.stabilize();
    this.tick(ms, () => this.stabilize());
  }

  /** As `elect`, but only what the election needs is delivered: the new leader's appends are still on their way. */
  electAndHold(id: NodeId): void {
    this.campaign(id);
    const types: readonly MessageType[] = ["preVote", "preVoteReply", "vote", "voteReply"];
    for (const type of types) {
      for (const parcel of this.network.find({ type })) this.deliver(parcel);
    }
    if (this.node(id).status.role !== "leader") throw new Error(`${id} was not elected`);
  }

  /** Makes a node leader of a cluster that listens to it. */
  elect(id: NodeId): void {
    this.campaign(id);
    this.stabilize();
    if (this.node(id).status.role !== "leader") throw new Error(`${id} was not elected`);
  }
}
