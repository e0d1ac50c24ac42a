/** Defects of the data model: transactions, leases, time to live, the past, and commands that take effect once. */
import { type Mutant, mutant } from "./mutant.ts";

const command = "src/kv/command.ts";
const edit = "src/kv/edit.ts";
const history = "src/kv/history.ts";
const idempotency = "src/kv/idempotency.ts";
const machine = "src/kv/machine.ts";
const pastView = "src/kv/past-view.ts";
const run = "src/kv/run.ts";
const reader = "src/kv/snapshot-reader.ts";
const timekeeper = "src/replica/timekeeper.ts";
const transaction = "src/kv/transaction.ts";

/** What is done together, and what is answered. */
export const transactionMutants: readonly Mutant[] = [
  mutant("transaction-half-applied", "what was done before an operation failed stays done", {
    file: transaction,
    find: `    edit.drop();
    return`,
    replace: `    edit.commit();
    return`,
  }),
  mutant("nothing-takes-a-revision", "a change that comes to nothing takes a revision", {
    file: edit,
    find: `      if (touched.length > 0) history.add(touched);`,
    replace: `      history.add(touched);`,
  }),
  mutant("any-check-will-do", "a transaction goes on where one of its checks holds", {
    file: transaction,
    find: `  const succeeded = checks.every((check) => checkHolds(store, check));`,
    replace:
      `  const succeeded = checks.length === 0 || checks.some((check) => checkHolds(store, check));`,
  }),
  mutant("batch-revision-shared", "all items of a batch are told the revision of the last", {
    file: transaction,
    find: `  return { type: "batch", revision: store.revision, results };`,
    replace: `  const { revision } = store;
  return { type: "batch", revision, results: results.map((each) => ({ ...each, revision })) };`,
  }),
  mutant("sum-not-clamped", "a sum goes beyond its bounds", {
    file: transaction,
    find: `  return raised > max ? max : raised;`,
    replace: `  return raised > max && value < min ? max : value;`,
  }),
  mutant("add-takes-attachments", "an add takes away what is attached to its key", {
    file: transaction,
    find: `  const attached = item === undefined ? null : keptOf(item);`,
    replace:
      `  const attached = item === undefined || keptOf(item) !== null ? null : keptOf(item);`,
  }),
  mutant("lease-unasked-for", "a key is put under a lease that is over", {
    file: run,
    find: `  if (lease !== null && leases.get(lease) === undefined) return noLease(store, lease);`,
    replace: `  if (lease !== null && leases.get(lease)?.id === 0) return noLease(store, lease);`,
  }),
];

/** Time, and what ends. */
export const expiryMutants: readonly Mutant[] = [
  mutant("time-to-live-lost-in-snapshot", "a restored state doesn't know what is due", {
    file: reader,
    find: `    if (attached !== null) this.#attachments.add(keyAt(bytes, at), attached);`,
    replace: `    if (attached !== null && attached.due === null) {
      this.#attachments.add(keyAt(bytes, at), attached);
    }`,
  }),
  mutant("time-to-live-lost-on-failover", "whoever leads after another lets nothing end", {
    file: timekeeper,
    find: `    const duty = this.#leads ? housekeeping.next() : null;`,
    replace:
      `    const duty = this.#leads && (this.#ledTerm ?? 0) <= 1 ? housekeeping.next() : null;`,
  }),
  mutant("duty-given-up", "what was due when leadership was lost is never tried again", {
    file: timekeeper,
    find: `    if (!isDone) await new`,
    replace: `    if (!isDone) return;
    if (this.#stopped) await new`,
  }),
  mutant("time-by-wall-clock", "the cluster's time is counted by wall clocks", {
    file: timekeeper,
    find: `    return time + this.#parts.clock.now() - at;`,
    replace: `    return time + this.#parts.clock.now() - at + this.#parts.clock.wallNow() % 5000;`,
  }),
  mutant("follower-keeps-its-time", "a node that is ahead of its leader's time stays there", {
    file: timekeeper,
    find: `    if (this.#leads && stamped <= this.#count()) return;`,
    replace: `    if (stamped <= this.#count()) return;`,
  }),
  mutant("leader-ahead-of-its-log", "a new leader's time is ahead of what it has yet to apply", {
    file: timekeeper,
    find: `      this.#takeOver();`,
    replace: ``,
  }),
  mutant("time-stands-still", "a leader doesn't count on from its last stamp", {
    file: timekeeper,
    find: `    return time + this.#parts.clock.now() - at;`,
    replace: `    return time + Math.min(100, this.#parts.clock.now() - at);`,
  }),
  mutant("put-keeps-old-ttl", "a put without a time to live leaves the one there was", {
    file: edit,
    find: `    const { records } = this.#parts;
    const past = records.put(
      key,
      { ...draft, revision: this.revision },`,
    replace: `    const { records } = this.#parts;
    const before = records.get(key);
    const kept = before?.due === null || before === undefined || draft.attached !== null
      ? draft
      : { ...draft, attached: { metadata: null, lease: null, due: before.due } };
    const past = records.put(
      key,
      { ...kept, revision: this.revision },`,
  }),
  mutant("keepalive-unstamped", "a lease is kept alive from the time that was told last", {
    file: command,
    find: `    case "keepAlive":
    case "expire":
      return true;`,
    replace: `    case "expire":
      return true;
    case "keepAlive":`,
  }),
  mutant("lease-lost-in-snapshot", "a restored state has no leases", {
    file: reader,
    find: `        this.#leases.set(timeText(id), {`,
    replace: `        if (id === 0) this.#leases.set(timeText(id), {`,
  }),
  mutant("lease-leaves-its-keys", "what was put under a lease outlives it", {
    file: run,
    find: `  if (keys.length > 0) store.deleteAll(keys);`,
    replace: `  if (keys.length > 1) store.deleteAll(keys.slice(1));`,
  }),
  mutant("lease-ends-in-pieces", "each of a lease's keys goes by a revision of its own", {
    file: run,
    find: `  if (keys.length > 0) store.deleteAll(keys);`,
    replace: `  for (const key of keys) store.delete(key);`,
  }),
];

/** The past, and who watches. */
export const historyMutants: readonly Mutant[] = [
  mutant("past-one-off", "a past read shows what came right after", {
    file: pastView,
    find: `    if (now !== undefined && now <= this.revision) return this.#records.get(key);`,
    replace:
      `    if (now !== undefined && now <= this.revision + 1) return this.#records.get(key);`,
  }),
  mutant("past-without-the-deleted", "a past listing lacks the keys that are gone", {
    file: pastView,
    find: `      if (revision > this.revision) yield key;`,
    replace: `      if (revision > this.revision + 1) yield key;`,
  }),
  mutant("history-cut-by-wall-clock", "how much history there is depends on the time of day", {
    file: history,
    find: `    while (kept.end - kept.floor > revisionsMax || kept.bytes > bytesMax) this.#drop();`,
    replace: `    const wanted = Date.now() % 2 === 0 ? revisionsMax : revisionsMax - 1;
    while (kept.end - kept.floor > wanted || kept.bytes > bytesMax) this.#drop();`,
  }),
  mutant("history-one-too-long", "one revision more than the limit is kept", {
    file: history,
    find: `    while (kept.end - kept.floor > revisionsMax || kept.bytes > bytesMax) this.#drop();`,
    replace:
      `    while (kept.end - kept.floor > revisionsMax + 1 || kept.bytes > bytesMax) this.#drop();`,
  }),
  mutant("event-shows-the-present", "a change says that its key was put to what it is now", {
    file: "src/kv/store.ts",
    find: `        const item = isPut ? put ?? this.#records.get(key) : null;`,
    replace: `        const item = isPut ? this.#records.get(key) ?? put : null;`,
  }),
  mutant(
    "event-skipped-on-resume",
    "who goes on behind a change that isn't the newest misses an event",
    {
      file: history,
      find: `    return Array.from({ length: kept.countOf(revision) }, (_, event): PastEvent => {`,
      replace: `    const isPast = revision < this.end && kept.countOf(revision) > 1;
    const count = kept.countOf(revision) - (isPast ? 1 : 0);
    return Array.from({ length: count }, (_, event): PastEvent => {`,
    },
  ),
  mutant("watcher-off-by-one", "the oldest change that is kept is refused", {
    file: "src/kv/store.ts",
    find: `    if (events === null) return null;`,
    replace: `    if (events === null || revision <= this.floor + 1) return null;`,
  }),
  mutant("watchers-not-told-of-a-restore", "who watches isn't told of a state that was restored", {
    file: machine,
    find: `    tell(this.#accessWatchers);
    tell(this.#watchers);`,
    replace: `    tell(this.#accessWatchers);`,
  }),
];

/** Commands that take effect once. */
export const idempotencyMutants: readonly Mutant[] = [
  mutant("idempotency-forgotten-in-snapshot", "a restored state knows no answers", {
    file: reader,
    find: `      idempotency: new Idempotency(this.#sessions, this.#answers),`,
    replace: `      idempotency: new Idempotency(this.#sessions),`,
  }),
  mutant("done-not-remembered", "that a session has its answers is forgotten", {
    file: idempotency,
    find: `    const doneBelow = Math.max(session?.done ?? 0, Math.min(done, number));`,
    replace: `    const doneBelow = Math.min(0, done, number);`,
  }),
  mutant("another-command-answered", "a number's first answer is given to another command", {
    file: idempotency,
    find:
      `      if (first !== fingerprint[0] || second !== fingerprint[1]) return { type: "reused" };`,
    replace: `      if (first + second < 0) return { type: "reused" };`,
  }),
  mutant("sessions-share-numbers", "a number is another session's as well", {
    file: idempotency,
    find: "  return `${session}\\0${timeText(number)}`;",
    replace: "  return `${session.slice(0, 4)}\\0${timeText(number)}`;",
  }),
  mutant("applied-again", "a command that came before is applied again", {
    file: run,
    find: `      return decodeResult(verdict.result);`,
    replace: `      return run(state, command);`,
  }),
];
