/** Tokens on a real machine: drawn from its randomness, hashed, and compared in constant time. */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { Credentials } from "../ports.ts";

const idBytes = 8;
/** Nobody guesses it: what hashes of passwords need, salt and slowness, this one does not. */
const secretBytes = 32;

/** See {@link Credentials}. */
export const credentials: Credentials = {
  draw: () => {
    const id = randomBytes(idBytes).toString("hex");
    return { id, text: `hf_${id}_${randomBytes(secretBytes).toString("base64url")}` };
  },
  hash: (text) => new Uint8Array(createHash("sha256").update(text).digest()),
  isSame: (a, b) => a.length === b.length && timingSafeEqual(a, b),
};
