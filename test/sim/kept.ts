/**
 * Seeds that show today what once was found. Where the simulator draws otherwise than it did, they are found again by
 * planting the defect: `sim:mutants` says which no longer fail with theirs.
 */

export interface KeptSeed {
  readonly seed: bigint;
  /** Simulated; enough for it to fail with the defect. */
  readonly seconds: number;
  /** What it found. */
  readonly found: string;
  /** The planted defect's name; null where it is none of those that are planted. */
  readonly defect: string | null;
}

export const keptSeeds: readonly KeptSeed[] = [
  {
    seed: 32n,
    seconds: 60,
    found: "a machine that slept told its state's age by a clock that had stood still",
    defect: "suspension-unnoticed",
  },
  {
    seed: 81n,
    seconds: 60,
    found: "sleeps of less than a quarter of a second were never noticed, and outlived a lease",
    defect: "short-suspensions-unnoticed",
  },
  {
    seed: 197n,
    seconds: 60,
    found: "a flipped bit in identity.json made another first configuration",
    defect: "identity-unchecked",
  },
  {
    seed: 2n,
    seconds: 40,
    found: "the age told was that of a snapshot still on its way into the state",
    defect: "fresh-as-of-acceptance",
  },
  {
    seed: 64n,
    seconds: 60,
    found: "members that were cut from the log stayed members",
    defect: "change-kept-over-a-cut",
  },
  {
    seed: 87n,
    seconds: 60,
    found: "a change that was cut from the log was called over",
    defect: "lost-change-is-over",
  },
  {
    seed: 59n,
    seconds: 60,
    found: "a voter came back with an empty disk, and voted",
    defect: "another-life-is-bound",
  },
  {
    seed: 27n,
    seconds: 20,
    found: "a new leader's time was ahead of what it had yet to apply, which ended early",
    defect: "leader-ahead-of-its-log",
  },
  {
    seed: 943n,
    seconds: 8,
    found: "an identity's name that was in the system's cache only went with a power cut",
    defect: null,
  },
];
