/**
 * Holdfast's public exports, and a tour.
 *
 * - `raft/` is consensus as arithmetic: `new Raft(options, restart).step(event, now)` gives effects, and nothing else
 *   happens. `kv/` is the state machine: the same commands give the same bytes on every replica.
 * - `ports.ts` says what a replica needs of the world; `adapters/` has it for real machines and, in memory, for tests.
 * - {@link Replica} (`replica.ts`) joins them: it proposes, confirms reads, takes snapshots and answers peers.
 * - {@link createApp} (`http/`) is the Hono app over a replica. `client/` speaks to it, `cli/` is for people.
 * - `runtimes/` has what differs between Bun, Deno and Node, and assembles whole nodes: {@link openNode} one that
 *   listens, {@link open} one that lives in a program of yours, {@link openReplica} the same for a state machine of yours.
 *
 * @module
 */
export {
  type Embedded,
  EmbeddedKv,
  EmbeddedReplica,
  type Embedding,
  open,
  openReplica,
  type OwnMachine,
  type RequestOptions,
} from "../runtimes/embed.ts";
export { tlsFetch } from "../runtimes/client-fetch.ts";
export type { EmbedOptions } from "../runtimes/embed-options.ts";
export { openNode, type RunningNode, type Runtime, version } from "../runtimes/open-node.ts";
export { decodeCbor, encodeCbor } from "./cbor.ts";
export { type NodeConfig, nodeHelp, readNodeConfig } from "./config.ts";
export {
  BadConfiguration,
  ChangeRefused,
  CorruptData,
  DataDirectoryRefused,
  DiskFailure,
  MalformedBytes,
  NotApplied,
  OutcomeUnknown,
  PeerUnreachable,
  TooStale,
} from "./errors.ts";
export { type AppOptions, createApp } from "./http/app.ts";
export { Metrics } from "./http/metrics.ts";
export { type Command } from "./kv/command.ts";
export { encodeCommand } from "./kv/command-codec.ts";
export { KvMachine } from "./kv/machine.ts";
export type { KvResult } from "./kv/result.ts";
export type {
  Clock,
  FileSystem,
  Logger,
  MemberRequest,
  MembersView,
  ReplicaObserver,
  SnapshotStore,
  StateMachine,
  Transport,
  Wal,
} from "./ports.ts";
export { type Applied, Replica, type ReplicaOptions, type ReplicaParts } from "./replica.ts";
export type { ReplicaStatus } from "./replica.ts";
