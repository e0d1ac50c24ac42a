/** Which of some names was meant. */

/** Longer words are not looked at: the time grows with the square of their length. */
const CHARACTERS_MAX = 64;

/** The name that differs least from `word`, case aside; null where all differ in over a third of it. */
export function nearest(word: string, names: readonly string[]): string | null {
  if (word.length > CHARACTERS_MAX) return null;
  const distances = names.map((name) => distance(word.toLowerCase(), name.toLowerCase()));
  const least = Math.min(...distances);
  if (least > Math.max(1, Math.floor(word.length / 3))) return null;
  return names[distances.indexOf(least)] ?? null;
}

/** Letters put in, left out or changed (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (const [index, letter] of Array.from(a).entries()) {
    const next = [index + 1];
    for (const [at, other] of Array.from(b).entries()) {
      const changed = (row[at] ?? 0) + (letter === other ? 0 : 1);
      next.push(Math.min(changed, (row[at + 1] ?? 0) + 1, (next[at] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
