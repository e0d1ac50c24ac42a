/** Defects of the consensus core. */
import { type Mutant, mutant } from "./mutant.ts";

const core = "src/raft/core.ts";
const election = "src/raft/election.ts";
const journal = "src/raft/journal.ts";
const lease = "src/raft/lease.ts";
const log = "src/raft/log.ts";
const dispatch = "src/raft/dispatch.ts";
const reads = "src/raft/read-index.ts";
const replication = "src/raft/replication.ts";
const restart = "src/raft/restart.ts";
const snapshot = "src/raft/snapshot.ts";
const transfer = "src/raft/transfer.ts";

/** Terms, votes, offices. */
export const electionMutants: readonly Mutant[] = [
  mutant("vote-before-durable", "a vote leaves before it is on the disk", {
    file: election,
    find: `  core.promise({ type: "voteReply", ...core.reply(message), granted });`,
    replace: `  core.post({ type: "voteReply", ...core.reply(message), granted });`,
  }, {
    file: core,
    find: `    if (this.journal.promised) this.#out.send.push(message);
    else this.journal.sendAfter(message);`,
    replace: `    this.#out.send.push(message);`,
  }),
  mutant("candidacy-before-durable", "requests for votes leave before their term is on the disk", {
    file: election,
    find: `    core.promise({ type: "vote",`,
    replace: `    core.post({ type: "vote",`,
  }, {
    file: core,
    find: `    if (this.journal.promised) this.#out.send.push(message);
    else this.journal.sendAfter(message);`,
    replace: `    this.#out.send.push(message);`,
  }),
  mutant("restart-forgets-vote", "a restarted node does not know whom it voted for", {
    file: restart,
    find: `    vote: snapshot.term > term ? null : vote,`,
    replace: `    vote: null,`,
  }),
  mutant("votes-twice", "a node gives its vote to whoever asks", {
    file: election,
    find:
      `  const free = core.vote === message.from || (core.vote === null && core.leader === null);`,
    replace: `  const free = true;`,
  }),
  mutant("vote-for-shorter-log", "votes don't look at the candidate's log", {
    file: election,
    find: `isAsFar(theirs, log.last) && `,
    replace: `log.last.term >= 0 && `,
  }),
  mutant("earlier-votes-count", "votes of an earlier attempt count in this one", {
    file: election,
    find: `  if (message.granted && message.term !== core.term) return;`,
    replace: ``,
  }, {
    file: election,
    find: `  if (campaign === null || message.id < campaign.firstRequest) return;`,
    replace: `  if (campaign === null) return;`,
  }),
  mutant("votes-do-not-stick", "votes are given while a leader is heard", {
    file: election,
    find: `  if (core.leaderContact !== null && now < core.leaderContact + timeout) return true;`,
    replace: ``,
  }),
  mutant(
    "restarted-node-votes-at-once",
    "a restarted node forgets that it may have promised a lease",
    {
      file: election,
      find: `  return now < core.startedAt + timeout;`,
      replace: `  return false;`,
    },
  ),
  mutant("no-empty-entry", "a new leader appends no entry of its own", {
    file: election,
    find: `  core.append([options.seal(draft, log.last.crc)]);`,
    replace: `  if (draft.index < 0) core.append([options.seal(draft, log.last.crc)]);`,
  }),
  mutant("no-check-quorum", "a leader that no quorum answers stays in office", {
    file: election,
    find: `  core.becomeFollower({ term: core.term, leader: null }, now);
}
`,
    replace: `  office.quorumCheckDue = now + core.options.electionTimeoutMs;
}
`,
  }),
  mutant("two-offices", "a leader does not step down for a later term that an answer tells of", {
    file: dispatch,
    find:
      `  if (term > core.term && !asked) return core.becomeFollower({ term, leader: null }, now);`,
    replace: `  if (term > core.term && !asked) return;`,
  }),
];

/** The log, commit, restart, snapshots. */
export const logMutants: readonly Mutant[] = [
  mutant("commit-older-term", "an entry of an older term is committed by counting", {
    file: replication,
    find: `  if (index <= core.commit || log.termAt(index) !== term) return;`,
    replace: `  if (index <= core.commit || term < 0) return;`,
  }),
  mutant(
    "leader-counts-before-durable",
    "a leader counts its own entries before its disk has them",
    {
      file: replication,
      find: `    (id) => id === core.id ? core.journal.durable :`,
      replace: `    (id) => id === core.id ? log.lastIndex :`,
    },
  ),
  mutant(
    "append-acknowledged-before-durable",
    "a follower acknowledges entries that its disk doesn't have",
    {
      file: replication,
      find: `  core.promise({ type: "appendReply", ...core.reply(message), ...agreed });`,
      replace: `  core.post({ type: "appendReply", ...core.reply(message), ...agreed });`,
    },
  ),
  mutant("truncate-on-shorter-append", "an append that ends sooner cuts what stands behind it", {
    file: replication,
    find: `  core.append(known === 0 ? entries : entries.slice(known));`,
    replace: `  const end = previousIndex + entries.length;
  if (known === entries.length && end < log.lastIndex && end >= core.commit) {
    core.truncateFrom(end + 1);
  }
  core.append(known === 0 ? entries : entries.slice(known));`,
  }),
  mutant("commit-beyond-the-message", "a follower commits beyond what the message vouches for", {
    file: replication,
    find: `  core.commitTo(Math.max(core.commit, Math.min(message.commit, vouched)));`,
    replace:
      `  core.commitTo(Math.max(core.commit, Math.min(message.commit, core.log.lastIndex)));`,
  }),
  mutant("append-without-previous", "an append is taken though the logs differ before it", {
    file: replication,
    find:
      `  return { conflictTerm: here.term, conflictIndex: log.firstIndexOfTermAt(previousIndex) };`,
    replace: `  return null;`,
  }),
  mutant(
    "commit-of-another-history",
    "what the leader calls committed is taken by its index alone",
    {
      file: replication,
      find: `    if (log.termAt(vouched.index) !== vouched.term) return;`,
      replace: `    if (vouched.index > log.lastIndex) return;`,
    },
  ),
  mutant(
    "heartbeat-commit-unclamped",
    "a heartbeat carries the leader's commit, beyond what matches",
    {
      file: reads,
      find: `    const commit = Math.min(progress.match, core.commit);`,
      replace: `    const commit = core.commit;`,
    },
    {
      file: reads,
      find: `core.commitTo(Math.max(core.commit, message.commit));`,
      replace:
        `core.commitTo(Math.max(core.commit, Math.min(message.commit, core.log.lastIndex)));`,
    },
  ),
  mutant("vote-while-owing", "a node whose disk lost what it had acknowledged votes at once", {
    file: "src/raft/election.ts",
    find: ` && (owes === null || isAsFar(theirs, owes));`,
    replace: `;`,
  }),
  mutant("stale-completion", "a write from before a cut marks today's entries durable", {
    file: journal,
    find:
      `    this.#onTheWay = this.#onTheWay.map((write) => write.last <= last ? write : { ...write, last });`,
    replace: ``,
  }),
  mutant("apply-before-durable", "entries are applied that this node's disk doesn't have", {
    file: core,
    find: `    const ready = Math.min(this.commit, this.journal.durable);`,
    replace: `    const ready = this.commit;`,
  }),
  mutant("apply-twice-after-restart", "the entry that a snapshot ends with is applied again", {
    file: core,
    find: `    this.applied = start.snapshot.index;
    this.#handed = start.snapshot.index;`,
    replace: `    this.applied = start.snapshot.index;
    this.#handed = Math.max(0, start.snapshot.index - 1);`,
  }),
  mutant("log-base-without-its-term", "a compacted log forgets the term of the entry before it", {
    file: log,
    find: `    this.#entries = this.#entries.slice(index - this.firstIndex);
    this.#base = { index: base.index, term: base.term, crc: base.crc };`,
    replace: `    this.#entries = this.#entries.slice(index - this.firstIndex);
    this.#base = { index: base.index, term: 0, crc: base.crc };`,
  }),
  mutant("install-keeps-the-log", "a snapshot is installed, and the log on disk stays", {
    file: core,
    find: `    this.journal.reset(snapshot);
    this.#memberships`,
    replace: `    this.#memberships`,
  }),
  mutant(
    "install-what-is-old",
    "a snapshot behind the commit index takes the place of newer state",
    {
      file: snapshot,
      find: `  if (meta.index > core.commit) install(core, meta);`,
      replace: `  install(core, meta);`,
    },
  ),
];

/** Reads, leases, transfers, staleness. */
export const readMutants: readonly Mutant[] = [
  mutant(
    "read-before-first-commit",
    "a new leader answers reads before it has committed anything",
    {
      file: reads,
      find: `  if (index < office.firstIndex) heldReads.push(read);`,
      replace: `  if (index < 0) heldReads.push(read);`,
    },
  ),
  mutant("earlier-round-confirms", "a reply to an earlier round confirms a read", {
    file: reads,
    find: `  progress.round = Math.max(progress.round, message.round);`,
    replace: `  progress.round = core.leadership?.round ?? 0;`,
  }),
  mutant("reads-confirmed-by-nobody", "a read is answered without a round", {
    file: reads,
    find: `  else waitingReads.push(read);`,
    replace: `  else confirm(core, read);`,
  }),
  mutant("one-answer-confirms", "one peer's answer confirms a round", {
    file: reads,
    find: `    (id) => id === core.id ? office.round : office.progress.get(id)?.round ?? 0,
  );
  if (confirmed`,
    replace: `    () => Math.max(0, ...[...office.progress.values()].map(({ round }) => round)),
  );
  if (confirmed`,
  }),
  mutant("stepping-down-confirms", "a leader that steps down answers the reads that wait", {
    file: core,
    find: `      if (read.from === this.id) this.rejectRead(read.id, "notLeader");`,
    replace:
      `      if (read.from === this.id) this.answer({ type: "readable", id: read.id, index: read.index });`,
  }),
  mutant(
    "stepping-down-forgets-reads",
    "a leader that steps down leaves its reads without an answer",
    {
      file: core,
      find:
        `    for (const read of [...confirming, ...office.waitingReads, ...office.heldReads]) {`,
      replace: `    for (const read of confirming.slice(0, 0)) {`,
    },
  ),
  mutant(
    "follower-reads-its-own-commit",
    "a follower takes its own commit index for the leader's",
    {
      file: reads,
      find: `  if (core.leader === null) return core.rejectRead(id, "notLeader");`,
      replace:
        `  if (core.leader !== null) return core.answer({ type: "readable", id, index: core.commit });`,
    },
  ),
  mutant("lease-without-drift-bound", "a lease lasts an election timeout, whatever the clocks", {
    file: lease,
    find:
      `  return electionTimeoutMs * (1 - maxClockDrift) / (1 + maxClockDrift) - maxClockJumpMs;`,
    replace: `  return electionTimeoutMs + 0 * (maxClockDrift + maxClockJumpMs);`,
  }),
  mutant("lease-kept-over-transfer", "a lease goes on while leadership is handed over", {
    file: transfer,
    find: `  office.lease.endForThisTerm();`,
    replace: ``,
  }),
  mutant("lease-from-the-answer", "a lease counts from when a round was answered", {
    file: reads,
    find: `  confirmRounds(core, office);
  if (office.waitingReads`,
    replace: `  confirmRounds(core, office, now);
  if (office.waitingReads`,
  }, {
    file: reads,
    find: `function confirmRounds(core: Core, office: Leadership): void {`,
    replace: `function confirmRounds(core: Core, office: Leadership, now = -Infinity): void {`,
  }, {
    file: reads,
    find: `    office.lease.confirmed(sentAt);`,
    replace: `    office.lease.confirmed(Math.max(sentAt, now));`,
  }),
  mutant("lease-over-a-suspension", "a lease goes on after the clock stood still", {
    file: lease,
    find: `  clockJumped(): void {
    this.#until = -Infinity;`,
    replace: `  clockJumped(): void {`,
  }),
  mutant(
    "fresh-as-of-receipt",
    "a follower's state is called as fresh as the last heartbeat's arrival",
    {
      file: reads,
      find: `  if (at !== null) core.freshness.learn(message.leaderCommit, at - message.ageMs);`,
      replace: `  if (at !== null) core.freshness.learn(message.leaderCommit, now);`,
    },
  ),
];
