/** What a disk does to a file while nobody looks. */
import {
  closeSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";

/** A place on the disk. */
export interface Place {
  readonly file: string;
  readonly offset: number;
}

/** The first place in a file of `directory` where `text` stands. */
export function find(directory: string, text: string): Place {
  for (const name of readdirSync(directory)) {
    const file = join(directory, name);
    const offset = readFileSync(file).indexOf(text);
    if (offset >= 0) return { file, offset };
  }
  throw new Error(`${text} is nowhere in ${directory}`);
}

/** Turns one bit. */
export function flip(file: string, offset: number): void {
  const descriptor = openSync(file, "r+");
  const byte = new Uint8Array(1);
  readSync(descriptor, byte, 0, 1, offset);
  writeSync(descriptor, Uint8Array.of((byte[0] ?? 0) ^ 0x10), 0, 1, offset);
  closeSync(descriptor);
}

/** As a crash in the middle of a write leaves it: what was there before stays zero. */
export function zeroFrom(file: string, offset: number): void {
  const { length } = readFileSync(file);
  const descriptor = openSync(file, "r+");
  ftruncateSync(descriptor, offset);
  ftruncateSync(descriptor, length);
  closeSync(descriptor);
}
