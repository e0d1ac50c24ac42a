/** Defects of what surrounds the core: log and snapshot files, the driver, the state machine. */
import { type Mutant, mutant } from "./mutant.ts";

const identity = "src/adapters/identity.ts";
const transfers = "src/replica/snapshot-transfer.ts";
const applier = "src/replica/applier.ts";
const clocks = "src/replica/clock-watch.ts";
const driver = "src/replica/driver.ts";
const files = "src/adapters/file-snapshots.ts";
const condition = "src/kv/condition.ts";
const run = "src/kv/run.ts";
const forward = "src/replica/forward.ts";
const fileWal = "src/adapters/file-wal.ts";
const proposals = "src/replica/proposals.ts";
const reads = "src/replica/reads.ts";
const recovery = "src/adapters/wal-recovery.ts";
const replica = "src/replica.ts";
const segments = "src/adapters/wal-segments.ts";
const staged = "src/adapters/staged-file.ts";

/** What is on the disk, and when. */
export const diskMutants: readonly Mutant[] = [
  mutant("acknowledge-before-sync", "a write to the log is called durable before its sync", {
    file: fileWal,
    find: `    await this.#segment.file.datasync();
    this.#offset += bytes;`,
    replace: `    this.#offset += bytes;`,
  }),
  mutant("failed-sync-tried-again", "a sync that failed is tried again, and believed", {
    file: fileWal,
    find: `    await this.#segment.file.datasync();
    this.#offset += bytes;`,
    replace: `    const { file } = this.#segment;
    await file.datasync().catch(() => file.datasync());
    this.#offset += bytes;`,
  }),
  mutant(
    "recovered-but-not-written",
    "what recovery read from the system's cache is believed to be durable",
    {
      file: fileWal,
      find: `    if (lastFrame !== null) await file.writev([lastFrame.bytes], lastFrame.offset);`,
      replace: `    if (lastFrame === undefined) return { ...segment, file, salt };`,
    },
  ),
  mutant("segment-rename-unsynced", "a new segment's name is not synced", {
    file: segments,
    find: `    await this.#fs.rename(temporary, path);
    await this.#syncDirectory();`,
    replace: `    await this.#fs.rename(temporary, path);`,
  }),
  mutant("segment-header-unsynced", "a new segment gets its name before its header is synced", {
    file: segments,
    find: `    await this.#sync(file, SEGMENT_HEADER_BYTES);`,
    replace: ``,
  }),
  mutant("compacts-one-too-many", "a segment goes whose last entry is still needed", {
    file: segments,
    find: `        if (oldest.lastIndex >= index) return;`,
    replace: `        if (oldest.lastIndex > index) return;`,
  }),
  mutant("cut-at-first-bad-record", "the log is cut at the first bad record, whatever follows it", {
    file: recovery,
    find: `    if (last) checkTail(path, file, { ...frames, salt });`,
    replace: `    if (last && salt < 0) checkTail(path, file, { ...frames, salt });`,
  }),
  mutant("snapshot-rename-unsynced", "a snapshot's name is not synced", {
    file: files,
    find: `    await this.#fs.syncDirectory(this.#directory);
    this.#latest = meta;`,
    replace: `    this.#latest = meta;`,
  }),
  mutant("snapshot-unsynced", "a snapshot is not synced before it gets its name", {
    file: files,
    find: `  await put(encoder.trailer());
  await onDisk(() => file.datasync());`,
    replace: `  await put(encoder.trailer());`,
  }),
  mutant("identity-unchecked", "a decayed identity file is believed", {
    file: identity,
    find: `known.crc === crcOf(documentOf(known)) ? known : null;`,
    replace: `Number.isFinite(crcOf(documentOf(known))) ? known : null;`,
  }),
  mutant("received-snapshot-unsynced", "a received snapshot is not synced before it is installed", {
    file: staged,
    find: `      await file.datasync();
      return meta;`,
    replace: `      return meta;`,
  }),
];

/** What piles up. */
export const boundMutants: readonly Mutant[] = [
  mutant("requests-never-expire", "nobody looks at requests' deadlines", {
    file: "src/replica/sweep.ts",
    find: `each.expire(now);`,
    replace: `each.expire(now * 0);`,
  }),
  mutant("reads-never-expire", "nobody looks at reads' deadlines", {
    file: replica,
    find: `new Sweep(parts.clock, [this.#proposals, this.#reads])`,
    replace: `new Sweep(parts.clock, [this.#proposals])`,
  }),
  mutant("segments-stay", "a segment that nobody needs stays", {
    file: segments,
    find: `        if (oldest.lastIndex >= index) return;`,
    replace: `        if (oldest.lastIndex >= index * 0) return;`,
  }),
  mutant("entries-stay", "the log is not compacted behind a snapshot", {
    file: "src/raft/core.ts",
    find: `    if (index <= this.log.firstIndex) return;`,
    replace: `    if (index >= 0) return;`,
  }),
  mutant("one-snapshot-for-ever", "no second snapshot is taken", {
    file: applier,
    find: `this.#isDue(snapshotIndex())) {`,
    replace: `snapshotIndex() === 0 && this.#isDue(0)) {`,
  }),
  mutant("temporary-segments-stay", "a segment that was begun outlives its process", {
    file: segments,
    find: `      if (TEMPORARY_NAME.test(name)) await`,
    replace: `      if (TEMPORARY_NAME.test(name) && name === "") await`,
  }),
];

/** Commands and snapshots of the store. */
export const storeMutants: readonly Mutant[] = [
  mutant("content-type-forgotten", "every value is read back with the default type", {
    file: "src/kv/record.ts",
    find: `    contentType: contentTypeAt(bytes, at),`,
    replace: `    contentType: contentTypeAt(bytes, at).replace(/.+/, "application/octet-stream"),`,
  }),
  mutant("first-condition-only", "only a command's first condition has to hold", {
    file: run,
    find: `  if (conditions.every((condition) => holds(condition, current))) return null;`,
    replace:
      `  if (conditions.slice(0, 1).every((condition) => holds(condition, current))) return null;`,
  }),
  mutant("not-revision-ignored", "a key may be at a revision at which it must not be", {
    file: condition,
    find: `      return current === 0 || !condition.revisions.includes(current);`,
    replace: `      return true;`,
  }),
  mutant("first-revision-only", "only the first of a condition's revisions counts", {
    file: condition,
    find: `      return current !== 0 && condition.revisions.includes(current);`,
    replace: `      return current !== 0 && condition.revisions[0] === current;`,
  }),
  mutant("absent-at-revision-0", "an absent key is at a revision, which is 0", {
    file: condition,
    find: `      return current !== 0 && condition.revisions.includes(current);`,
    replace: `      return condition.revisions.includes(current);`,
  }),
  mutant("snapshot-of-a-living-state", "a snapshot is written from a state that goes on changing", {
    file: "src/kv/store.ts",
    find: `    const records = this.#records.clone();`,
    replace: `    const records = this.#records;`,
  }),
  mutant("deletes-take-no-revision", "a range delete of one key takes no revision", {
    file: "src/kv/store.ts",
    find: `    if (deleted === 0) return 0;`,
    replace: `    if (deleted < 2) return deleted;`,
  }),
];

/** Requests and snapshots. */
export const hostMutants: readonly Mutant[] = [
  mutant("not-applied-after-proposing", "a proposal that ran out of time is called not applied", {
    file: proposals,
    find:
      `    proposal.reject(new OutcomeUnknown("proposed, and its fate was not learned in time"));`,
    replace:
      `    proposal.reject(new NotApplied("no_leader", "proposed, and its fate was not learned"));`,
  }),
  mutant("another-leaders-entry-answers", "whatever is applied at its index answers a proposal", {
    file: proposals,
    find: `    if (proposal.term !== entry.term || result === null) {`,
    replace: `    if (result === null) {`,
  }),
  mutant("forward-tried-again", "a write that a leader may have got is forwarded again", {
    file: forward,
    find: `    if (!error.maybeReceived) return null;`,
    replace: `    if (error.name !== "") return null;`,
  }),
  mutant(
    "forwarded-unknown-is-not-applied",
    "a leader's 'unknown' reaches the client as 'not applied'",
    {
      file: forward,
      find: `      throw new OutcomeUnknown("the leader did not learn the write's fate in time");`,
      replace:
        `      throw new NotApplied("no_leader", "the leader did not learn the write's fate");`,
    },
  ),
  mutant("read-before-applied", "a read is served before its index is applied", {
    file: reads,
    find: `    if (applied >= index) this.#end(id, batch, "readable");`,
    replace: `    if (applied >= 0) this.#end(id, batch, "readable");`,
  }),
  mutant("suspension-unnoticed", "nobody compares the clocks", {
    file: clocks,
    find: `    const jumped = Math.abs(gained) > clockJumpMs;`,
    replace: `    const jumped = Math.abs(gained) > clockJumpMs * Infinity;`,
  }),
  mutant("short-suspensions-unnoticed", "clocks may part by a quarter of a second", {
    file: clocks,
    find: `    const jumped = Math.abs(gained) > clockJumpMs;
    if (jumped || gained < 0) this.#least += gained;`,
    replace: `    const jumped = Math.abs(gained) > 250;
    this.#least += gained;`,
  }),
  mutant("fresh-as-of-acceptance", "the age told is that of a snapshot on its way into the state", {
    file: driver,
    find: `    const at = this.raft.freshAt(now, this.#applier.index);`,
    replace: `    const at = this.raft.freshAt(now);`,
  }),
  mutant("lost-offer-waited-for", "the reply to a snapshot's offer is waited for, though lost", {
    file: transfers,
    find: `      return await transport.request(message, againMs);`,
    replace: `      return await transport.request(message, installMs);`,
  }),
  mutant("promises-before-durable", "what waits for the disk leaves when the write begins", {
    file: driver,
    find: `    this.#disk.begun(persist.seq, at);`,
    replace: `    this.#disk.begun(persist.seq, at);
    for (const message of persist.sendAfter) this.#send(message);`,
  }),
  mutant("snapshot-without-its-term", "a snapshot says nothing of the term of its last entry", {
    file: applier,
    find: `    const meta = { index, term, crc, configuration: this.#configuration };
    this.#snapshotting = this.#write(meta);`,
    replace: `    const meta = { index, term, crc, configuration: this.#configuration };
    this.#snapshotting = this.#write({ ...meta, term: 0 });`,
  }),
  mutant("compacts-before-durable", "the log is compacted before the snapshot is durable", {
    file: applier,
    find: `    this.#snapshotting = this.#write(meta);
    try {
      await this.#snapshotting;
    } finally {
      this.#snapshotting = null;
    }`,
    replace: `    this.#snapshotting = this.#write(meta).finally(() => {
      this.#snapshotting = null;
    });
    this.#snapshotting.catch(() => {});`,
  }),
];
