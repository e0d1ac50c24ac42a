/**
 * The secrets that peers share. The first one signs, any of them is accepted, so that they can be replaced without a
 * moment in which two nodes don't understand each other: first all accept the new one, then all sign with it, then all
 * forget the old one.
 */
import { createSecretKey, type KeyObject } from "node:crypto";
import { readFile } from "node:fs/promises";
import * as v from "valibot";
import { SECRET_CHARACTERS_MIN, SECRETS_MAX, secretSchema } from "../config/security-options.ts";
import { BadConfiguration } from "../errors.ts";

const FILE_CHARACTERS_MAX = 64 * 1024;

/** A node's secrets, as they are at the moment. */
export class PeerSecrets {
  #keys: readonly KeyObject[] = [];

  constructor(secrets: readonly string[]) {
    this.replace(secrets);
  }

  /** These, or those that never change. */
  static of(secrets: PeerSecrets | readonly string[]): PeerSecrets {
    return secrets instanceof PeerSecrets ? secrets : new PeerSecrets(secrets);
  }

  /** The first one signs, any is accepted. None: nothing is signed. */
  get keys(): readonly KeyObject[] {
    return this.#keys;
  }

  replace(secrets: readonly string[]): void {
    this.#keys = secrets.map((secret) => createSecretKey(new TextEncoder().encode(secret)));
  }
}

/**
 * Reads a file of secrets: one a line, without the white space around it; empty lines don't count.
 * @throws {BadConfiguration} where there is none, or one is no secret. It shows nothing of them.
 */
export async function readSecretFile(path: string): Promise<readonly string[]> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    refuse(path, error instanceof Error && "code" in error ? String(error.code) : "no file");
  }
  const lines = text.slice(0, FILE_CHARACTERS_MAX).split("\n").map((line) => line.trim());
  const wrong = lines.findIndex((line) => line !== "" && !v.is(secretSchema, line));
  if (wrong >= 0) {
    const takes = `at least ${SECRET_CHARACTERS_MIN} characters without a comma`;
    refuse(path, `line ${wrong + 1} is no secret, which has ${takes}`);
  }
  const secrets = [...new Set(lines.filter((line) => line !== ""))];
  if (secrets.length === 0) refuse(path, "it holds no secret");
  if (secrets.length > SECRETS_MAX) refuse(path, `it holds over ${SECRETS_MAX} secrets`);
  return secrets;
}

function refuse(path: string, why: string): never {
  throw new BadConfiguration(`--secret-file: ${JSON.stringify(path)} can't be used: ${why}`);
}
