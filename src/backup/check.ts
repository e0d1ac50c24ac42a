/** Reads a backup whole and says what is in it: nothing of it is believed before its last byte was seen. */
import { MalformedBytes } from "../errors.ts";
import { KvMachine } from "../kv/machine.ts";
import { type BackupHeader, type BackupTotals, type OpenBackup, openBackup } from "./format.ts";

/** What a sound backup holds. */
export interface BackupSummary extends BackupHeader, BackupTotals {
  readonly keys: number;
  readonly leases: number;
  /** History reaches back to this revision. */
  readonly oldest: number;
}

/**
 * Checks form, checksums, counts and meaning. Takes the memory of the store that it holds.
 * @throws {MalformedBytes} where it is not sound, with the offset in the file. Passes on what `bytes` throws.
 */
export async function checkBackup(bytes: AsyncIterable<Uint8Array>): Promise<BackupSummary> {
  return (await loadBackup(await openBackup(bytes))).summary;
}

/** The same, with the machine that it was tried on. */
export async function loadBackup(
  backup: OpenBackup,
): Promise<{ readonly machine: KvMachine; readonly summary: BackupSummary }> {
  const machine = new KvMachine();
  await machine.restore(backup.chunks);
  // The machine may have seen its end before the file's.
  for await (const _ of backup.chunks) continue;
  const { header } = backup;
  const { revision, size, floor } = machine.store;
  if (revision !== header.revision) {
    throw new MalformedBytes(`a store at ${revision} under a header of ${header.revision}`, 0);
  }
  const leases = [...machine.leases()].length;
  return {
    machine,
    summary: { ...header, ...backup.totals(), keys: size, leases, oldest: floor },
  };
}
