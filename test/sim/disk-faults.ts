/** Faults of a disk that begin, last, and are mended. */
import type { Machine } from "./node.ts";
import type { Random } from "./random.ts";

export const diskFaultKinds = [
  "slowDisk",
  "syncFailures",
  "fullDisk",
  "readErrors",
  "snapshotFlips",
  "misdirectedWrites",
] as const;
export type DiskFaultKind = (typeof diskFaultKinds)[number];

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

/** The other kinds go on. */
export function endDiskFault(kind: DiskFaultKind, { disk }: Machine): void {
  const { faults } = disk;
  switch (kind) {
    case "slowDisk":
      faults.slowMs = 0;
      return;
    case "syncFailures":
      faults.syncFails = 0;
      return;
    case "fullDisk":
      disk.limitRoom(Infinity);
      return;
    case "readErrors":
      faults.readFails = 0;
      return;
    case "snapshotFlips":
      faults.snapshotFlips = 0;
      return;
    case "misdirectedWrites":
      faults.misdirects = 0;
      return;
  }
}
