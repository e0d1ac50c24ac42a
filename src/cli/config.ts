/** `config`: what a node's options come to, and an example of a file. */
import process from "node:process";
import { readSecretFile } from "../adapters/peer-secrets.ts";
import { readTlsFiles } from "../adapters/tls-files.ts";
import { problemsOf, readNodeConfig, type TlsPaths } from "../config.ts";
import { type EffectiveOption, effectiveOptions, exampleFile } from "../config/effective.ts";
import { tlsPathsOf } from "../config/exposure.ts";
import { nodeOptions } from "../config/options.ts";
import { type Read, readerOf, type Source, type Texts } from "../config/sources.ts";
import { BadConfiguration } from "../errors.ts";
import type { Arguments } from "./arguments.ts";
import type { Command } from "./command.ts";
import { type FoundFile, readConfigFile } from "./config-file.ts";
import { exit, jsonFlag, print, printAnswer, shown, wantsJson } from "./output.ts";

/** `config`. */
export const config: Command = {
  summary: "check a node's configuration, or print an example of a file",
  help: `holdfast config check [FILE] [FLAGS OF A NODE]
holdfast config example

check reads what a node would read: these flags, the environment, FILE (or --config,
HOLDFAST_CONFIG) and the defaults, in that order. It prints every option, and where it was found;
of secrets only their length. Certificates, keys and secrets are read from the files that options
name; the data directory is not looked at. What is wrong is told on standard error, all of it, a
line each.

example prints a YAML file with every option as a comment. "holdfast node --help" has all flags of a node.

  --json             print one document

Exit status: 0 a node would take it, 2 it would not.
`,
  syntax: { flags: { ...nodeOptions, json: jsonFlag }, operands: ["ACTION", "[FILE]"] },
  run: async (args) => {
    const [action, file] = args.operands;
    if (action === "check") return await check(args, file);
    if (action !== "example") throw new BadConfiguration("config takes check or example");
    if (file !== undefined) throw new BadConfiguration("config example takes nothing else");
    const text = exampleFile();
    await printAnswer(args, { example: text }, text);
    return exit.done;
  },
};

async function check(args: Arguments, path: string | undefined): Promise<number> {
  const { json: _json, ...given } = args.flags;
  if (path !== undefined && given["config"] !== undefined) {
    throw new BadConfiguration("config check takes FILE or --config, and both are given");
  }
  const flags: Texts = path === undefined ? given : { ...given, config: path };
  const { file, problems: told } = gather(flags, process.env);
  const sources = { flags, environment: process.env, file };
  const read = told.length === 0 ? readNodeConfig(flags, process.env, file) : null;
  const options = effectiveOptions(sources, read);
  const problems = [...told, ...await credentialProblems(readerOf(sources))];
  const isRight = problems.length === 0;
  const warnings = file?.warnings ?? [];
  if (wantsJson(args)) {
    const document = {
      valid: isRight,
      problems,
      warnings,
      options: Object.fromEntries(options.map(asJson)),
    };
    await print(`${JSON.stringify(document)}\n`);
  } else {
    await print(table(options));
    for (const line of warnings) process.stderr.write(`warning: ${shown(line)}\n`);
    for (const line of problems) process.stderr.write(`holdfast config check: ${shown(line)}\n`);
  }
  return isRight ? exit.done : exit.usage;
}

function gather(
  flags: Texts,
  environment: Texts,
): { readonly file: FoundFile | null; readonly problems: readonly string[] } {
  try {
    const file = readConfigFile(flags, environment);
    return { file, problems: problemsOf(flags, environment, file) };
  } catch (error) {
    if (!(error instanceof BadConfiguration)) throw error;
    return {
      file: null,
      problems: [...new Set([error.message, ...problemsOf(flags, environment, null)])],
    };
  }
}

/** What a node would refuse of certificates, keys and secrets in files. */
async function credentialProblems(read: Read): Promise<readonly string[]> {
  const none: TlsPaths = { cert: null, key: null, ca: null, clientCa: null };
  const problems = new Set<string>();
  const attempt = async (look: () => Promise<unknown>): Promise<void> => {
    try {
      await look();
    } catch (error) {
      if (!(error instanceof BadConfiguration)) throw error;
      problems.add(error.message);
    }
  };
  let paths = none;
  let secretFile: string | null = null;
  try {
    paths = tlsPathsOf(read);
    secretFile = read("secretFile");
  } catch (error) {
    // A path that is none was told of before.
    if (!(error instanceof BadConfiguration)) throw error;
  }
  // Each by itself before all of them: of several the reader tells of the first.
  for (const [name, path] of Object.entries(paths)) {
    await attempt(() => readTlsFiles({ ...none, [name]: path }));
  }
  await attempt(() => readTlsFiles(paths));
  if (secretFile !== null) {
    const path = secretFile;
    await attempt(() => readSecretFile(path));
  }
  return [...problems];
}

function table(options: readonly EffectiveOption[]): string {
  const rows = options.map(({ name, value, source }) =>
    [`${name}:${value === null ? "" : ` ${shown(value)}`}`, shown(placeOf(source))] as const
  );
  const width = Math.min(40, Math.max(...rows.map(([text]) => text.length)));
  return rows.map(([text, place]) => `${text.padEnd(width)}  # ${place}\n`).join("");
}

function placeOf(source: Source): string {
  switch (source.from) {
    case "flag":
    case "environment":
      return source.name;
    case "file":
      return `${source.path}:${source.line}`;
    case "default":
      return "default";
  }
}

function asJson({ name, value, isSecret, source }: EffectiveOption): [string, unknown] {
  return [name, { value: isSecret ? null : value, set: value !== null, source }];
}
