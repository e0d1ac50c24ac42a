/** How a token reads: `hf_<id>_<secret>`. The id names it and is no secret; who has all of it is let in. */

/** Completes "takes …". */
export const tokenTakes = "hf_<id>_<secret>, as `holdfast token generate` prints one";

/** Room for the tokens of other makes of this software: its own have 16 characters and 43. */
const pattern = /^hf_([a-z0-9]{8,32})_[A-Za-z0-9_-]{32,128}$/;

/** The id that `text` names, or null where it is no token. */
export function tokenIdIn(text: string): string | null {
  return pattern.exec(text)?.[1] ?? null;
}
