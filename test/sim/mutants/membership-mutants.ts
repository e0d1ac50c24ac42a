/** Defects of how members change. */
import { type Mutant, mutant } from "./mutant.ts";

const change = "src/raft/change.ts";
const core = "src/raft/core.ts";
const election = "src/raft/election.ts";
const management = "src/replica/management.ts";
const membership = "src/replica/membership.ts";
const quorum = "src/raft/quorum.ts";
const reads = "src/raft/read-index.ts";
const replication = "src/raft/replication.ts";

/** Who is counted. */
export const quorumMutants: readonly Mutant[] = [
  mutant("joint-change-by-new-half", "in a joint phase only the new voters count", {
    file: quorum,
    find: `  if (configuration.outgoing.length === 0) return incoming;`,
    replace: `  if (configuration.outgoing.length >= 0) return incoming;`,
  }),
  mutant("joint-change-by-old-half", "in a joint phase only the old voters count", {
    file: quorum,
    find: `  return Math.min(incoming, majorityValue(configuration.outgoing, valueOf));`,
    replace: `  return majorityValue(configuration.outgoing, valueOf);`,
  }),
  mutant("joint-election-by-new-half", "in a joint phase the new voters elect alone", {
    file: quorum,
    find: `  if (quorumValue(configuration, granted) === 1) return "won";`,
    replace: `  if (quorumValue({ ...configuration, outgoing: [] }, granted) === 1) return "won";`,
  }),
  mutant("joint-commit-by-new-half", "in a joint phase the new voters commit alone", {
    file: replication,
    find: `    configuration,
    (id) => id === core.id ? core.journal.durable`,
    replace: `    { ...configuration, outgoing: [] },
    (id) => id === core.id ? core.journal.durable`,
  }),
  mutant("joint-read-by-new-half", "in a joint phase the new voters confirm reads alone", {
    file: reads,
    find: `    core.configuration,
    (id) => id === core.id ? office.round`,
    replace: `    { ...core.configuration, outgoing: [] },
    (id) => id === core.id ? office.round`,
  }, {
    file: election,
    find: `  return quorumValue(core.configuration, (id) => {
    if (id === core.id) return Infinity;`,
    replace: `  return quorumValue({ ...core.configuration, outgoing: [] }, (id) => {
    if (id === core.id) return Infinity;`,
  }),
  mutant("removed-voter-counts", "those who have just left are counted for what is committed", {
    file: replication,
    find: `    configuration,
    (id) => id === core.id ? core.journal.durable`,
    replace: `    { ...configuration, voters: [...configuration.voters, ...office.leaving.keys()] },
    (id) => id === core.id ? core.journal.durable`,
  }),
  mutant("learner-counts", "learners are counted for what is committed", {
    file: replication,
    find: `    configuration,
    (id) => id === core.id ? core.journal.durable`,
    replace:
      `    { ...configuration, voters: [...configuration.voters, ...configuration.learners] },
    (id) => id === core.id ? core.journal.durable`,
  }),
  mutant("learner-elects", "learners are asked for their votes, and these are counted", {
    file: election,
    find: `  return votersOf(core.configuration).filter((id) => id !== core.id);`,
    replace: `  return membersOf(core.configuration).filter((id) => id !== core.id);`,
  }, {
    file: quorum,
    find: `  const granted = (id: NodeId): number => votes.get(id) === true ? 1 : 0;
  if (quorumValue(configuration, granted) === 1) return "won";`,
    replace: `  const granted = (id: NodeId): number => votes.get(id) === true ? 1 : 0;
  const all = [...configuration.voters, ...configuration.learners];
  if (quorumValue({ ...configuration, voters: all }, granted) === 1) return "won";`,
  }),
];

/** When they change, and whether they do. */
export const changeMutants: readonly Mutant[] = [
  mutant("change-before-own-commit", "a leader changes members before it has committed anything", {
    file: change,
    find: `  return core.commit >= office.firstIndex && core.configurationIndex <= core.commit;`,
    replace: `  return office.firstIndex > 0 && core.configurationIndex <= core.commit;`,
  }),
  mutant("change-before-the-last", "a step of a change is taken before the last is committed", {
    file: change,
    find: `  return core.commit >= office.firstIndex && core.configurationIndex <= core.commit;`,
    replace: `  return core.commit >= office.firstIndex;`,
  }),
  mutant("newcomer-promoted-unseen", "a newcomer votes before it has caught up", {
    file: change,
    find: `  if (isWaiting) return;`,
    replace: ``,
  }),
  mutant("newcomer-awaited-for-ever", "a newcomer that never comes is waited for", {
    file: change,
    find: `  if (now - state.movedAt > SILENCE_FACTOR * electionTimeoutMs) return null;`,
    replace: ``,
  }),
  mutant("joint-never-left", "a joint phase lasts for ever", {
    file: change,
    find: `  if (outgoing.length > 0) leaveJoint(`,
    replace: `  if (outgoing.length > 0) return;
  if (outgoing.length > 0) leaveJoint(`,
  }),
  mutant("joint-left-by-its-leader-alone", "a later leader leaves a joint phase as it is", {
    file: change,
    find: `  if (outgoing.length > 0) leaveJoint(`,
    replace:
      `  if (outgoing.length > 0 && core.log.termAt(core.configurationIndex) !== core.term) return;
  if (outgoing.length > 0) leaveJoint(`,
  }),
  mutant("change-kept-over-a-cut", "members that were cut from the log stay members", {
    file: core,
    find:
      `    this.#memberships = this.#memberships.filter((membership) => membership.index < index);
`,
    replace: ``,
  }),
  mutant("snapshot-of-the-birth", "a snapshot has the first members", {
    file: "src/replica/applier.ts",
    find: `    const meta = { index, term, crc, configuration: this.#configuration };`,
    replace: `    const meta = { index, term, crc, configuration: this.#parts.options.birth };`,
  }),
  mutant("removed-ids-forgotten", "only those who left last are known to have left", {
    file: change,
    find: `    removed: [...removed, ...gone],`,
    replace: `    removed: gone.length > 0 ? gone : removed,`,
  }),
  mutant("id-used-again", "who left may come back", {
    file: membership,
    find: `  const gone = ids.find((id) => current.removed?.includes(id) === true);`,
    replace: `  const gone = ids.find(() => false);`,
  }, {
    file: change,
    find: `  const next = { voters: target.voters, learners: target.learners };`,
    replace: `  const next = { voters: target.voters, learners: target.learners };
  const back = new Set([...next.voters, ...next.learners]);
  current = { ...current, removed: (current.removed ?? []).filter((id) => !back.has(id)) };`,
  }),
  mutant("another-life-is-bound", "whoever says to be a member takes the place of the one known", {
    file: change,
    find:
      `  if (office === null || !maySettle(core, office) || Object.hasOwn(known, member)) return;`,
    replace: `  if (office === null || !maySettle(core, office)) return;
  if (known[member] === incarnation) return;`,
  }),
  mutant("emptied-voter-votes", "a voter whose disk was emptied goes on as if it never had voted", {
    file: "test/sim/node.ts",
    find: `    if (incarnations[this.id] !== incarnation) {`,
    replace: `    if (incarnations[this.id] === undefined) {`,
  }),
  mutant("unknown-change-is-not-applied", "a change that goes on is called not applied", {
    file: management,
    find: `      if (!isRunning || this.#now() >= deadline) return { type: "unknown" };`,
    replace: `      if (!isRunning || this.#now() >= deadline) {
        return { type: "notApplied", reason: "no_leader", detail: "no leader was found in time" };
      }`,
  }),
  mutant("lost-change-is-over", "a change that was cut from the log is called over", {
    file: management,
    find: `      if (there !== undefined && there !== term) {`,
    replace: `      if (there !== undefined && term < 0) {`,
  }),
];
