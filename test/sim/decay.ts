/** What became of bytes at rest that are not what was written, from one process of a machine to the next. */
import type { DataDirectory } from "../../src/adapters/data-directory.ts";
import type { LogDebt } from "../../src/ports.ts";
import type { SimDisk } from "./disk.ts";
import type { Oracles } from "./oracles.ts";
import type { Probes } from "./probes.ts";
import type { Watch } from "./watched.ts";

export class Decay {
  /** Bytes at rest may not be what was written. */
  found = false;
  readonly #parts: { readonly oracles: Oracles; readonly probes: Probes };
  readonly #id: string;
  readonly #disk: SimDisk;
  #owes = false;
  /** The last write that the disk was told of is not there, or was hit: no reader can tell. */
  #lastFrameHit = false;

  constructor(
    parts: { readonly oracles: Oracles; readonly probes: Probes },
    id: string,
    disk: SimDisk,
  ) {
    this.#parts = parts;
    this.#id = id;
    this.#disk = disk;
  }

  /** Whether the node lacks what it once acknowledged, and therefore doesn't lead. */
  get owes(): boolean {
    return this.#owes;
  }

  /** Whether a damaged disk may be used again. A loss that no reader could tell is the end of it. */
  async mayOpen(): Promise<boolean> {
    const { oracles, probes } = this.#parts;
    const disk = this.#disk;
    const outcome = await disk.judgeDamage();
    const log = outcome === "detected" ? null : await disk.peekLog();
    this.#lastFrameHit = outcome === "tailLost" || disk.lastFrameHit ||
      (disk.writesSinceMisdirected !== null && disk.writesSinceMisdirected < 2);
    if (log === null) return true;
    const may = oracles.log(this.#id).admits(log) || !this.#lastFrameHit;
    if (may) probes.reached("damage found without loss");
    return may;
  }

  /** Likewise, now that it was read, and maybe mended: what is hit beside the last frame doesn't tell of that. */
  mayGoOn({ recovered, debt }: DataDirectory): boolean {
    return !this.#lastFrameHit || this.#parts.oracles.log(this.#id).admits(recovered, debt?.owes);
  }

  /** What the disk lost, noticed when it is here again. */
  watched(debt: LogDebt | null, { alive, note }: Watch): LogDebt | null {
    this.#owes = debt !== null;
    if (debt === null) return null;
    const { oracles, probes } = this.#parts;
    probes.reached("damage mended, to be repaired");
    note(() => `owes ${debt.owes.index}@${debt.owes.term}`);
    const settle = (): Promise<void> => {
      if (alive()) {
        this.#owes = false;
        probes.reached("repaired from the peers");
        oracles.log(this.#id).repaired();
        note(() => "is repaired");
      }
      return debt.settle();
    };
    return { ...debt, settle };
  }
}
