/** Notices that what was lost with a part of the disk is here again. */
import type { LogDebt, Logger } from "../ports.ts";
import type { RaftRestart } from "../raft/step.ts";

export class DebtWatch {
  #debt: LogDebt | null;
  readonly #log: Logger;

  constructor(debt: LogDebt | null, log: Logger) {
    this.#debt = debt;
    this.#log = log;
  }

  /** What the core still owes. Once that is nothing the record of it goes; one that stays does no harm. */
  look(owes: RaftRestart["owes"]): void {
    const debt = this.#debt;
    if (debt === null || owes !== null) return;
    this.#debt = null;
    debt.settle().then(
      () =>
        this.#log(
          "info",
          "repaired: what was lost is here again, and this node may lead",
          { ...debt.owes },
        ),
      (error: unknown) =>
        this.#log("warn", "the record of a repair stays", { error: String(error) }),
    );
  }
}
