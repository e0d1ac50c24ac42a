/** Who a command is to the cluster, and by whose certificates it knows the nodes: flags before the environment. */
import { readFileSync } from "node:fs";
import process from "node:process";
import type { ConnectOptions } from "../client/mod.ts";
import { environmentOf, flagOf } from "../config/options.ts";
import { BadConfiguration } from "../errors.ts";
import { tlsFetch } from "../../runtimes/client-fetch.ts";
import type { Arguments, FlagSpec } from "./arguments.ts";

type AccessFlag = "token" | "tlsCa" | "tlsCert" | "tlsKey";

const file: FlagSpec = { takes: "a file in PEM" };

/** Flags of every command that talks to a cluster. */
export const accessFlags: Readonly<Record<AccessFlag, FlagSpec>> = {
  token: { takes: "a token, such as hf_1_…" },
  tlsCa: file,
  tlsCert: file,
  tlsKey: file,
};

/** The lines of help about {@link accessFlags}. */
export const accessHelp: string = `
  --token T          who asks, where nodes want to know (better: HOLDFAST_TOKEN, which no process list shows)
  --tls-ca FILE      roots that the nodes' certificates have to lead to (HOLDFAST_TLS_CA; default
                     those that the runtime knows)
  --tls-cert FILE, --tls-key FILE
                     a certificate to present, where nodes ask for one (HOLDFAST_TLS_CERT, HOLDFAST_TLS_KEY)`;

/** A flag's text, or its variable's. */
function given({ flags }: Arguments, name: AccessFlag): string | null {
  return flags[name] ?? (process.env[environmentOf(name)] || null);
}

/** Whether nodes are asked over TLS where nothing else is said. */
export function wantsTls(args: Arguments): boolean {
  return given(args, "tlsCa") !== null || given(args, "tlsCert") !== null;
}

/** @throws {BadConfiguration} where a file can't be read, or a token is none. */
export function readAccess(args: Arguments): Pick<ConnectOptions, "token" | "fetch"> {
  const token = given(args, "token");
  if (token !== null && !/^[\w~+/.-]{1,256}=*$/.test(token)) {
    throw new BadConfiguration(
      `${flagOf("token")} takes ${accessFlags.token.takes}; what is given is none`,
    );
  }
  const who = token === null ? {} : { token };
  if (!wantsTls(args)) return who;
  const [cert, key] = [read(args, "tlsCert"), read(args, "tlsKey")];
  if ((cert === null) !== (key === null)) {
    throw new BadConfiguration("--tls-cert and --tls-key are given together, or not at all");
  }
  return { ...who, fetch: tlsFetch({ ca: read(args, "tlsCa"), cert, key }) };
}

function read(args: Arguments, name: AccessFlag): string | null {
  const path = given(args, name);
  if (path === null) return null;
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const reason = error instanceof Error && "code" in error ? String(error.code) : "no file";
    throw new BadConfiguration(
      `${flagOf(name)} takes ${accessFlags[name].takes}; ${
        JSON.stringify(path)
      } can't be read: ${reason}`,
    );
  }
}
