/** All defects that are planted, and those that wait for what they would break. */
import {
  expiryMutants,
  historyMutants,
  idempotencyMutants,
  transactionMutants,
} from "./data-mutants.ts";
import { boundMutants, diskMutants, hostMutants, storeMutants } from "./host-mutants.ts";
import { changeMutants, quorumMutants } from "./membership-mutants.ts";
import type { Mutant } from "./mutant.ts";
import { versionMutants } from "./version-mutants.ts";
import { electionMutants, logMutants, readMutants } from "./raft-mutants.ts";

export const mutants: readonly Mutant[] = [
  ...electionMutants,
  ...logMutants,
  ...readMutants,
  ...quorumMutants,
  ...changeMutants,
  ...diskMutants,
  ...hostMutants,
  ...boundMutants,
  ...storeMutants,
  ...transactionMutants,
  ...expiryMutants,
  ...historyMutants,
  ...idempotencyMutants,
  ...versionMutants,
];

/** Defects of `reliability.md` that can't be planted yet, and why. */
export const waiting: readonly { readonly name: string; readonly why: string }[] = [
  { name: "displaced-proposal-forgotten", why: "hundreds of seeds go by before one shows it" },
];
