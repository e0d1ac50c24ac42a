/** Commands that make the state no larger: let in where a leader's disk is almost full. */
import { MalformedBytes } from "../errors.ts";
import type { Command, Operation } from "./command.ts";
import { decodeCommand } from "./command-codec.ts";

/** See `StateMachine.isFrugal` of `ports.ts`. What can't be read is not. */
export function isFrugal(payload: Uint8Array): boolean {
  try {
    return isFrugalCommand(decodeCommand(payload));
  } catch (error) {
    if (error instanceof MalformedBytes) return false;
    throw error;
  }
}

/**
 * What replaces a value by a smaller one is not: it takes as much of the log, and nobody could rely on it. Leases can be
 * kept alive, so that nobody loses a lock over somebody's disk.
 */
function isFrugalCommand(command: Command): boolean {
  switch (command.type) {
    case "delete":
    case "deleteRange":
    case "keepAlive":
    case "revoke":
    case "expire":
    case "configure":
    case "upgrade":
    case "deleteRole":
    case "deleteToken":
      return true;
    case "put":
    case "grant":
    case "putRole":
    case "putToken":
      return false;
    case "restore":
      return command.step.type === "abort";
    case "transaction":
      return [...command.then, ...command.else].every(isFrugalOperation);
    case "batch":
      return command.items.every(({ operation }) => isFrugalOperation(operation));
    case "keyed":
    case "as":
      return isFrugal(command.command);
  }
}

function isFrugalOperation({ type }: Operation): boolean {
  switch (type) {
    case "put":
    case "add":
      return false;
    case "delete":
    case "deleteRange":
    case "get":
    case "list":
      return true;
  }
}
