/** What a row of the table of options is. */
import type * as v from "valibot";

/** One option, as text in and a checked value out. */
export interface Option<T> {
  /** Completes "takes …" in help and in errors. */
  readonly takes: string;
  readonly help: string;
  /** As a person would type it; null where the default follows from other options, and `help` says how. */
  readonly default: string | null;
  readonly schema: v.GenericSchema<string | null, T>;
  /** A switch may stand without a value, and then means `on`. */
  readonly isSwitch?: true;
  /** What a bare number means, where its text needs a unit. */
  readonly unit?: "ms";
  /** Its value is never shown. */
  readonly isSecret?: true;
  /** Its text has several parts with commas between: a file may have them as a list, or `id=URL` as a map. */
  readonly parts?: "list" | "map";
  /** Names the configuration file, and so can't stand in it. */
  readonly isOutsideFile?: true;
}
