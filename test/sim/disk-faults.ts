/** Faults of a disk that begin, last, and are mended. */
import { noDiskFaults } from "./disk.ts";
import type { Machine } from "./node.ts";
import type { Random } from "./random.ts";

export type DiskFaultKind =
  | "slowDisk"
  | "syncFailures"
  | "fullDisk"
  | "readErrors"
  | "snapshotFlips"
  | "misdirectedWrites";

/** False where the kind may not befall this machine. */
export function beginDiskFault(kind: DiskFaultKind, machine: Machine, random: Random): boolean {
  const { disk } = machine;
  const { faults } = disk;
  switch (kind) {
    case "slowDisk":
      faults.slowMs = random.scaled(1, 2000);
      return true;
    case "syncFailures":
      faults.syncFails = random.pick([0.02, 0.2, 1]);
      return true;
    case "fullDisk":
      disk.limitRoom(random.below(20_000));
      return true;
    case "readErrors":
      faults.readFails = random.pick([0.02, 0.2, 1]);
      return true;
    case "snapshotFlips":
      faults.snapshotFlips = random.pick([0.01, 0.1, 0.5]);
      return true;
    case "misdirectedWrites":
      if (!machine.damageable) return false;
      faults.misdirects = random.pick([0.01, 0.1]);
      return true;
  }
}

export function endDiskFaults({ disk }: Machine): void {
  disk.faults = { ...noDiskFaults };
  disk.limitRoom(Infinity);
}
