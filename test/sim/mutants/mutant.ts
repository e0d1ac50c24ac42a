/** A defect to plant: source text, and what to put in its place. */
export interface Mutant {
  readonly name: string;
  /** What is wrong then, in a line. */
  readonly what: string;
  readonly edits: readonly Edit[];
}

export interface Edit {
  /** Below the root of the tree. */
  readonly file: string;
  /** Stands in it exactly once. */
  readonly find: string;
  readonly replace: string;
}

/** A mutant of one edit. */
export function mutant(name: string, what: string, ...edits: readonly Edit[]): Mutant {
  return { name, what, edits };
}

/**
 * `source` with the edit done.
 * @throws {RangeError} where its text is not there exactly once: the source went on, and the mutant has to follow.
 */
export function planted(name: string, source: string, { file, find, replace }: Edit): string {
  const [before, after, ...more] = source.split(find);
  if (before !== undefined && after !== undefined && more.length === 0) {
    return `${before}${replace}${after}`;
  }
  const count = source.split(find).length - 1;
  throw new RangeError(`mutant ${name}: its text stands ${count} times in ${file}:\n${find}`);
}
