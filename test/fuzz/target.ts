/** What a fuzzer feeds. */
import { MalformedBytes } from "../../src/errors.ts";
import assert from "node:assert/strict";

export interface Target {
  readonly name: string;
  /** Sound inputs, to begin with. */
  readonly samples: () => readonly Uint8Array[];
  /** What is worth putting into an input. */
  readonly words: readonly string[];
  /**
   * What became of an input, in words of which there are few: what shows new ones is kept, and changed further.
   * @throws for a defect.
   */
  readonly run: (bytes: Uint8Array) => string | Promise<string>;
}

/** Runs `decode`; what it throws is a {@link MalformedBytes}, or a defect. */
export function outcomeOf(what: string, decode: () => string): string {
  try {
    return `${what}: ${decode()}`;
  } catch (error) {
    return `${what}: ${refusal(error)}`;
  }
}

/** The text of a refusal, without what differs from input to input. */
export function refusal(error: unknown): string {
  assert.ok(error instanceof MalformedBytes, error instanceof Error ? error.stack : String(error));
  return withoutDetails(error.message);
}

/** Texts without the numbers and quotations in them. */
export function withoutDetails(text: string): string {
  return text.replaceAll(/"(?:[^"\\]|\\.)*"/g, '"…"').replaceAll(/\d+/g, "#").slice(0, 120);
}
