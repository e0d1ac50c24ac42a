/**
 * The client library: finds a node that works and the leader among them, repeats what is safe to repeat, and gives
 * typed results. It needs nothing but `fetch`, so it runs on Bun, Deno, Node, Workers and in browsers.
 *
 * ```ts ignore
 * import { connect } from "holdfast/client";
 *
 * const client = connect({ endpoints: ["http://127.0.0.1:4001", "http://127.0.0.1:4002"] });
 * await client.put("greeting", "hello", { contentType: "text/plain" });
 * const item = await client.get("greeting");
 * ```
 *
 * @module
 */
export type { Backup, BackupOptions } from "./backup.ts";
export { Client, connect } from "./client.ts";
export { ClientError, type ClientErrorCode, type ClientErrorFields, isPassing } from "./error.ts";
export type { ClientFetch } from "./attempt.ts";
export type { ListedItem } from "./item.ts";
export type { Key, KeyRange } from "./key.ts";
export type {
  AddMemberResult,
  ChangeResult,
  MemberSet,
  NewMember,
  SetMembersResult,
} from "./members.ts";
export type {
  AddOperation,
  Check,
  Comparison,
  DeleteOperation,
  GetOperation,
  ListOperation,
  Operation,
  OperationResult,
  OperationResultOf,
  PutOperation,
  ResultsOf,
} from "./operations.ts";
export type {
  AddOptions,
  AddResult,
  CallOptions,
  Change,
  Condition,
  ConnectOptions,
  DeleteOptions,
  DeleteResult,
  Item,
  ItemsOptions,
  Lease,
  LeaseOptions,
  ListOptions,
  Lock,
  LockOptions,
  Page,
  PutOptions,
  PutResult,
  ReadOptions,
  WatchEvent,
  WatchOptions,
} from "./options.ts";
export type { Transaction, TransactionResult } from "./transaction.ts";
export type {
  ChangeAnswer,
  LeaseAnswer,
  LeaseDetailAnswer,
  MemberAnswer,
  MembersAnswer,
  MemberSeat,
  Outcome,
  RestoreAnswer,
  StatusAnswer,
} from "../http/wire.ts";
