/** Raft. */
export { InvariantViolation } from "../assert.ts";
export { decodeConfiguration, encodeConfiguration } from "./membership.ts";
export { isReply } from "./message.ts";
export type * from "./message.ts";
export { Raft } from "./raft.ts";
export type * from "./step.ts";
export type * from "./types.ts";
