/**
 * Runs golden scripts: text that a person can read, of commands and what came of them.
 *
 * A line that begins with `#` is prose, one that is indented is an expectation, any other is a command. Running a
 * script gives the same text with fresh expectations. Under each command stand, in order, what happened and then
 * the nodes whose state it changed. While messages are delivered one by one they are shown as they leave; where
 * they flow by themselves (`stabilize`, `run`) as they arrive, and `run` leaves out the heartbeats.
 */
import { sealEntry } from "../../src/adapters/log-record.ts";
import type { Entry, Message, MessageType, NodeId, RaftLimits } from "../../src/raft/mod.ts";
import { Cluster } from "./cluster.ts";
import type { Parcel } from "./network.ts";
import { electionTimeoutMs } from "./options.ts";
import { messageText, statusText } from "./notation.ts";

type Command = (script: Script, words: readonly string[]) => void;

/** The script with its expectations written anew. @throws where a command makes no sense or an invariant breaks. */
export function runScript(text: string): string {
  const script = new Script();
  const lines: string[] = [];
  text.split("\n").forEach((line, number) => {
    if (/^\s+\S/.test(line)) return;
    lines.push(line);
    if (line === "" || line.startsWith("#")) return;
    try {
      lines.push(...script.run(line).map((happened) => `  ${happened}`));
    } catch (error) {
      const so = script.happened.map((happened) => `  ${happened}\n`).join("");
      throw new Error(`line ${number + 1}, "${line}":\n${so}${String(error)}`, { cause: error });
    }
  });
  return lines.join("\n");
}

class Script {
  happened: string[] = [];
  #cluster: Cluster | null = null;
  #shown = new Map<NodeId, string>();
  /** Requests that were lost, or whose reply was; the transport has not said so yet. */
  #lost: Message[] = [];

  run(line: string): string[] {
    this.happened = [];
    const [name = "", ...words] = line.split(/\s+/);
    const command = commands[name];
    if (command === undefined) throw new Error(`no command ${name}`);
    command(this, words);
    this.#showChanges();
    return this.happened;
  }

  get cluster(): Cluster {
    if (this.#cluster === null) throw new Error("the script begins with `cluster`");
    return this.#cluster;
  }

  set cluster(cluster: Cluster) {
    this.#cluster = cluster;
    this.#shown.clear();
    cluster.trace = (happened) => this.happened.push(happened);
    cluster.network.onLoss = (request) => this.#lost.push(request);
  }

  /** Messages that flow by themselves are shown as they arrive. */
  flowing(act: () => void): void {
    this.cluster.traceSends = false;
    act();
    this.cluster.traceSends = true;
  }

  reportLost(from: NodeId, to: NodeId): void {
    const reported = this.#lost.filter((lost) => lost.from === from && lost.to === to);
    if (reported.length === 0) throw new Error(`nothing was lost between ${from} and ${to}`);
    this.#lost = this.#lost.filter((lost) => !reported.includes(lost));
    for (const request of reported) this.cluster.unreachable(request);
  }

  show(id: NodeId): string {
    const node = this.cluster.node(id);
    if (node.raft === null) return `${id} is down`;
    return statusText(node.status);
  }

  #showChanges(): void {
    for (const id of this.cluster.nodes.keys()) {
      const now = this.show(id);
      if (this.#shown.get(id) === now) continue;
      this.#shown.set(id, now);
      this.happened.push(now);
    }
  }
}

/** `key=value` words, and the others. */
function settingsIn(words: readonly string[]): {
  readonly plain: string[];
  readonly settings: ReadonlyMap<string, string>;
} {
  return {
    plain: words.filter((word) => !word.includes("=")),
    settings: new Map(
      words.filter((word) => word.includes("=")).map((word) => {
        const [key = "", value = ""] = word.split("=");
        return [key, value];
      }),
    ),
  };
}

const limitNames: Readonly<Record<string, keyof RaftLimits>> = {
  appendBytes: "appendBytesMax",
  inflight: "inflightAppendsMax",
  inflightBytes: "inflightBytesMax",
  uncommittedBytes: "uncommittedBytesMax",
  applyLag: "applyLagMax",
  reads: "pendingReadsMax",
  trailing: "trailingEntries",
  trailingBytes: "trailingBytesMax",
};

function ids(list: string | undefined): string[] {
  return list === undefined ? [] : list.split(",");
}

function toNumber(word: string | undefined): number {
  const number = Number(word);
  if (word === undefined || !Number.isFinite(number)) throw new Error(`${word} is no number`);
  return number;
}

function one(words: readonly string[], position: number): string {
  const word = words[position];
  if (word === undefined) throw new Error("a word is missing");
  return word;
}

/** `n1→n2 append 2`: the second append on that path; `all` for all of them, `last` for the latest. */
function meant({ cluster }: Script, words: readonly string[]): Parcel[] {
  const [from = "", to = ""] = one(words, 0).split(/→|->/);
  const rest = words.slice(1);
  const isPick = (word: string): boolean => /^(all|last|\d+)$/.test(word);
  const type = rest.find((word) => !isPick(word));
  const pick = rest.find(isPick) ?? "1";
  const matching = cluster.network.find({ from, to }).filter(({ message }) =>
    type === undefined || message.type === type as MessageType
  );
  if (pick === "all") return matching;
  const parcel = pick === "last" ? matching.at(-1) : matching[Number(pick) - 1];
  if (parcel === undefined) {
    const there = cluster.network.parcels.map(({ message }) => messageText(message)).join("; ");
    throw new Error(`no such message; on their way: ${there}`);
  }
  return [parcel];
}

/** Voters, and what else the words say; every node has been up for an election timeout. */
function begin(script: Script, words: readonly string[]): void {
  const { plain, settings } = settingsIn(words);
  const count = Number(plain[0]);
  const voters = Number.isInteger(count)
    ? Array.from({ length: count }, (_, position) => `n${position + 1}`)
    : plain;
  const limits: Partial<Record<keyof RaftLimits, number>> = {};
  for (const [key, value] of settings) {
    const limit = limitNames[key];
    if (limit !== undefined) limits[limit] = toNumber(value);
    else if (!["learners", "outgoing", "priorities", "spares"].includes(key)) {
      throw new Error(`no setting ${key}`);
    }
  }
  script.cluster = new Cluster({
    voters,
    learners: ids(settings.get("learners")),
    outgoing: ids(settings.get("outgoing")),
    spares: ids(settings.get("spares")),
    priorities: Object.fromEntries(
      ids(settings.get("priorities")).map((pair) => {
        const [id = "", priority] = pair.split(":");
        return [id, toNumber(priority)];
      }),
    ),
    limits,
  });
  script.cluster.time += electionTimeoutMs;
}

/** `log n1,n2 1 1 4 commit=2 term=5 vote=n2`: these nodes were down, and this is what their disks hold. */
function setLog(script: Script, words: readonly string[]): void {
  const { plain, settings } = settingsIn(words);
  const [names, ...terms] = plain;
  const { cluster } = script;
  const entries = entriesOf(terms.map(toNumber));
  const hardState = {
    term: toNumber(settings.get("term") ?? String(entries.at(-1)?.term ?? 0)),
    vote: settings.get("vote") ?? null,
    commit: toNumber(settings.get("commit") ?? "0"),
  };
  for (const id of ids(names)) {
    cluster.crash(id);
    cluster.node(id).disk.entries = [...entries];
    cluster.node(id).disk.hardState = hardState;
  }
  for (const id of ids(names)) {
    cluster.restart(id);
    // It has been up for an election timeout when the script goes on.
    cluster.node(id).clock.offset += electionTimeoutMs;
  }
}

/** A log of these terms; the first entry of each is the empty one that opened it. */
function entriesOf(terms: readonly number[]): Entry[] {
  const entries: Entry[] = [];
  terms.forEach((term, position) => {
    const index = position + 1;
    const opens = term !== entries.at(-1)?.term;
    const payload = new TextEncoder().encode(opens ? "" : `k${index}=${term}`);
    const draft = { index, term, kind: opens ? "empty" : "command", payload } as const;
    entries.push(sealEntry(draft, entries.at(-1)?.crc ?? 0));
  });
  return entries;
}

/** `configured n3 n1 n2 learners=n3`: the node was down, and began its life with these voters and learners. */
function setConfiguration(script: Script, words: readonly string[]): void {
  const { plain, settings } = settingsIn(words);
  const [id = "", ...voters] = plain;
  const { cluster } = script;
  const { disk } = cluster.node(id);
  cluster.crash(id);
  const configuration = {
    ...cluster.configuration,
    voters,
    learners: ids(settings.get("learners")),
    outgoing: ids(settings.get("outgoing")),
  };
  disk.snapshot = { ...disk.snapshot, meta: { ...disk.snapshot.meta, configuration } };
  cluster.restart(id);
}

/** The terms of all logs, as the thesis draws them; a bar stands behind what the node knows to be committed. */
function showLogs(script: Script): void {
  for (const node of script.cluster.nodes.values()) {
    if (node.raft === null) continue;
    const { firstIndex, lastIndex, commit } = node.status;
    const terms = firstIndex === 1 ? [] : [`(up to ${firstIndex - 1} compacted)`];
    for (let index = firstIndex; index <= lastIndex; index++) {
      terms.push(`${node.entry(index)?.term}${index === commit ? " |" : ""}`);
    }
    script.happened.push(`${node.id.padEnd(3)} ${terms.join(" ")}`);
  }
}

function showProgress(script: Script, id: NodeId): void {
  for (const peer of script.cluster.node(id).status.progress) {
    script.happened.push(`${peer.id} ${peer.state} match=${peer.match}`);
  }
}

function showState(script: Script): void {
  for (const { id, state, raft } of script.cluster.nodes.values()) {
    if (raft === null) continue;
    script.happened.push(
      `${id} {${[...state].map(([key, value]) => `${key}=${value}`).join(" ")}}`,
    );
  }
}

const commands: Readonly<Record<string, Command>> = {
  cluster: begin,
  log: setLog,
  configured: setConfiguration,
  campaign: ({ cluster }, words) => cluster.campaign(one(words, 0)),
  /** What a script takes for granted, of which only the outcome is shown: `campaign`, then `stabilize` or only the votes. */
  elect: (script, words) => {
    const id = one(words, 0);
    if (words[1] === "holding") script.cluster.electAndHold(id);
    else script.cluster.elect(id);
    script.happened = [];
  },
  propose: ({ cluster }, words) => void cluster.propose(one(words, 0), ...words.slice(1)),
  deliver: (script, words) => {
    for (const parcel of meant(script, words)) script.cluster.deliver(parcel);
  },
  drop: (script, words) => {
    for (const parcel of meant(script, words)) script.cluster.drop(parcel);
  },
  /** All that is on its way is lost. */
  clear: ({ cluster }) => {
    for (const parcel of cluster.network.parcels) cluster.drop(parcel);
  },
  duplicate: (script, words) => {
    for (const parcel of meant(script, words)) script.cluster.network.parcels.push({ ...parcel });
  },
  unreachable: (script, words) => {
    const [from = "", to = ""] = one(words, 0).split(/→|->/);
    script.reportLost(from, to);
  },
  disk: ({ cluster }, words) => {
    const pace = one(words, 1);
    if (pace !== "auto" && pace !== "manual") throw new Error("disk n1 auto|manual");
    cluster.node(one(words, 0)).diskPace = pace;
    if (pace === "auto") cluster.persist(one(words, 0));
  },
  persist: ({ cluster }, words) => {
    const count = words[1];
    cluster.persist(one(words, 0), count === "all" ? undefined : toNumber(count ?? "1"));
  },
  applies: ({ cluster }, words) => {
    const pace = one(words, 1);
    if (pace !== "auto" && pace !== "manual") throw new Error("applies n1 auto|manual");
    cluster.node(one(words, 0)).applyPace = pace;
    if (pace === "auto") cluster.apply(one(words, 0));
  },
  crash: ({ cluster }, words) => cluster.crash(one(words, 0), toNumber(words[1] ?? "0")),
  restart: ({ cluster }, words) => cluster.restart(one(words, 0)),
  pause: ({ cluster }, words) => {
    cluster.node(one(words, 0)).paused = true;
  },
  resume: ({ cluster }, words) => {
    cluster.node(one(words, 0)).paused = false;
  },
  /** `room n1 short`: its disk is almost full; `room n1 full`: it is; `room n1 enough`: it isn't. */
  room: ({ cluster }, words) => {
    const room = one(words, 1);
    if (room !== "short" && room !== "full" && room !== "enough") {
      throw new Error("room n1 enough|short|full");
    }
    cluster.step(one(words, 0), { type: "room", level: room, tells: true });
  },
  clockJumped: ({ cluster }, words) => void cluster.step(one(words, 0), { type: "clockJumped" }),
  tick: ({ cluster }, words) => cluster.tick(toNumber(words[0])),
  /** Time passes, and no timer is looked at. */
  wait: ({ cluster }, words) => {
    cluster.time += toNumber(words[0]);
  },
  run: (script, words) => {
    script.flowing(() => script.cluster.run(toNumber(words[0])));
    script.happened = script.happened.filter((line) => !/ heartbeat(Reply)?@/.test(line));
  },
  stabilize: (script, words) =>
    script.flowing(() => script.cluster.stabilize(words.length > 0 ? words : undefined)),
  partition: ({ cluster }, words) => {
    const groups = words.join(" ").split("|").map((group) => group.trim().split(" "));
    cluster.cut = (from, to) => !groups.some((group) => group.includes(from) && group.includes(to));
  },
  cut: ({ cluster }, words) => {
    const paths = words.map((word) => word.replace("->", "→"));
    cluster.cut = (from, to) => paths.includes(`${from}→${to}`);
  },
  heal: ({ cluster }) => {
    cluster.cut = () => false;
  },
  transfer: ({ cluster }, words) => void cluster.transfer(one(words, 0), words[1] ?? null),
  /** `change n1 n1 n2 n4 learners=n5`; with `cancelling`, in the place of one that waits. */
  change: ({ cluster }, words) => {
    const { plain, settings } = settingsIn(words);
    const [id = "", ...voters] = plain.filter((word) => word !== "cancelling");
    const cancels = plain.includes("cancelling");
    cluster.change(id, { voters, learners: ids(settings.get("learners")) }, { cancels });
  },
  /** `bind n1 n4 INCARNATION`: the member has come, with this life of its disk. */
  bind: ({ cluster }, words) => {
    const [id, member, incarnation] = [one(words, 0), one(words, 1), one(words, 2)];
    cluster.step(id, { type: "bind", member, incarnation });
  },
  /** What the node's log makes of the membership. */
  members: (script, words) => {
    const { voters, outgoing, learners, removed = [], next, incarnations = {} } =
      script.cluster.node(one(words, 0)).status.configuration;
    const lives = Object.entries(incarnations).map(([id, life]) => `${id} in its life ${life}`);
    const parts = [`voters ${voters.join()}`];
    if (outgoing.length > 0) parts.push(`outgoing ${outgoing.join()}`);
    if (learners.length > 0) parts.push(`learners ${learners.join()}`);
    if (next !== undefined) parts.push(`then voters ${next.voters.join()}`);
    if (removed.length > 0) parts.push(`removed ${removed.join()}`);
    script.happened.push([...parts, ...lives].join(", "));
  },
  read: ({ cluster }, words) =>
    void cluster.read(one(words, 0), words[1] === "lease" ? "lease" : "linearizable"),
  snapshot: ({ cluster }, words) => cluster.snapshot(one(words, 0)),
  logs: showLogs,
  progress: (script, words) => showProgress(script, one(words, 0)),
  state: showState,
  network: (script) => {
    const { parcels } = script.cluster.network;
    script.happened.push(...parcels.map(({ message }) => messageText(message)));
  },
};
