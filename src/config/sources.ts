/** Where an option's text comes from: the command line before the environment before a file before the default. */
import * as v from "valibot";
import { BadConfiguration } from "../errors.ts";
import type { ConfigFile } from "./file.ts";
import {
  environmentOf,
  flagOf,
  nodeOptions,
  type Option,
  type OptionName,
  type OptionValues,
} from "./options.ts";

/** Texts by name: of options, or of environment variables. */
export type Texts = Readonly<Record<string, string | undefined>>;

/** All that a node is told. */
export interface Sources {
  /** What the command line gave, by the table's names (`electionTimeout`). */
  readonly flags: Texts;
  readonly environment: Texts;
  readonly file: ConfigFile | null;
}

/** Where an option's text was found. */
export type Source =
  | { readonly from: "flag"; readonly name: string }
  | { readonly from: "environment"; readonly name: string }
  | {
    readonly from: "file";
    readonly path: string;
    readonly line: number;
    readonly column: number;
  }
  | { readonly from: "default" };

/** An option's text, if there is any, and where it was found. */
export interface Found {
  readonly text: string | null;
  readonly source: Source;
}

/** Reads an option. @throws {BadConfiguration} */
export type Read = <Name extends OptionName>(name: Name) => OptionValues[Name];

/** The text that counts. */
export function find(name: OptionName, { flags, environment, file }: Sources): Found {
  const flag = flags[name];
  if (flag !== undefined) return { text: flag, source: { from: "flag", name: flagOf(name) } };
  // An empty variable is an unset one: that is how container files pass on what nobody gave.
  const variable = environment[environmentOf(name)];
  if (variable !== undefined && variable !== "") {
    return { text: variable, source: { from: "environment", name: environmentOf(name) } };
  }
  const value = file?.values.get(name);
  if (file !== null && value !== undefined) {
    const { text, line, column } = value;
    return { text, source: { from: "file", path: file.path, line, column } };
  }
  return { text: nodeOptions[name].default, source: { from: "default" } };
}

/** Reads options out of these sources. */
export function readerOf(sources: Sources): Read {
  return <Name extends OptionName>(name: Name): OptionValues[Name] => {
    const option: Option<OptionValues[Name]> = nodeOptions[name];
    const { text, source } = find(name, sources);
    const result = v.safeParse(option.schema, text);
    if (result.success) return result.output;
    return refuse(name, `${subject(source)} ${shown(text ?? "", option)}`);
  };
}

/** @throws {BadConfiguration} one line that names the flag and what it takes. */
export function refuse(name: OptionName, why: string): never {
  throw new BadConfiguration(`${flagOf(name)} takes ${nodeOptions[name].takes}; ${why}`);
}

function subject(source: Source): string {
  switch (source.from) {
    case "flag":
    case "default":
      return "got";
    case "environment":
      return `${source.name} is`;
    case "file":
      return `${source.path}:${source.line}:${source.column} has`;
  }
}

/** A text that was refused; of a secret its length. */
function shown(text: string, option: Option<unknown>): string {
  if (option.isSecret === true) return `${text.length} characters`;
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text);
}
