/**
 * A configuration file: one YAML map (YAML 1.2, core schema) of options by their names in the table.
 *
 * ```yaml
 * id: n1
 * electionTimeout: 1s
 * peers:
 *   n1: http://10.0.0.1:4001
 *   n2: http://10.0.0.2:4001
 * ```
 *
 * A value is a scalar, taken as it is spelled (`010` is `010`): the table's schemas read it as they read a flag. Where
 * an option's text has parts with commas between, they may be a list, or `id=URL` a map. An empty value is an unset one.
 * Anchors, aliases, tags and further documents are refused: nothing here needs them, and they make a file mean something
 * else than it says.
 */
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseAllDocuments,
} from "yaml";
import { nodeOptions, type Option, type OptionName } from "./options.ts";
import { nearest } from "./nearest.ts";

/** The largest file, in bytes. */
export const CONFIG_FILE_BYTES_MAX: number = 64 * 1024;
/** Further problems are not told. */
const PROBLEMS_MAX = 50;

/** What a file says of one option. */
export interface FileValue {
  /** As a flag would have it. */
  readonly text: string;
  readonly line: number;
  readonly column: number;
}

/** A file that was read. */
export interface ConfigFile {
  readonly path: string;
  readonly values: ReadonlyMap<OptionName, FileValue>;
  /** What is wrong with it, a line each; of values only that they have the wrong form. */
  readonly problems: readonly string[];
}

/** Reads a file's text. `path` is for messages. */
export function parseConfigFile(path: string, text: string): ConfigFile {
  const values = new Map<OptionName, FileValue>();
  const problems: string[] = [];
  const lines = new LineCounter();
  const report = (offset: number, what: string): void => {
    const { line, col } = lines.linePos(offset);
    if (problems.length < PROBLEMS_MAX) problems.push(`${path}:${line}:${col}: ${what}`);
  };
  const document = documentOf(text, lines, report);
  if (document === null || problems.length > 0) return { path, values, problems };
  if (!isMap(document.contents)) {
    if (document.contents !== null) report(0, "a map is needed, such as id: n1");
    return { path, values, problems };
  }
  for (const { key, value } of document.contents.items) {
    const at = isNode(key) ? key.range?.[0] ?? 0 : 0;
    const name = isScalar(key) && typeof key.value === "string" ? key.value : null;
    if (name === null || !isOptionName(name)) {
      report(at, `${name ?? "what stands here"} is no option${suggestion(name ?? "")}`);
      continue;
    }
    const option: Option<unknown> = nodeOptions[name];
    if (option.isOutsideFile === true) {
      report(at, `${name} can't stand in the file that it names`);
      continue;
    }
    if (!isNode(value)) continue;
    const start = value.range?.[0] ?? at;
    const flaw = (node: Node, what: string): void => report(node.range?.[0] ?? start, what);
    const read = textOf(value, option, (node, what) => flaw(node, `${name} ${what}`));
    if (read === null || read === "") continue;
    const { line, col: column } = lines.linePos(start);
    values.set(name, { text: read, line, column });
  }
  return { path, values, problems };
}

function isNode(value: unknown): value is Node {
  return isScalar(value) || isMap(value) || isSeq(value) || isAlias(value);
}

function documentOf(
  text: string,
  lineCounter: LineCounter,
  report: (offset: number, what: string) => void,
): Document.Parsed | null {
  const all = parseAllDocuments(text, { lineCounter, prettyErrors: false, version: "1.2" });
  if (!Array.isArray(all)) return null;
  for (const { errors } of all) {
    for (const { pos, message } of errors) report(pos[0], firstLine(message));
  }
  const [first = null, second] = all;
  if (second !== undefined) report(second.range[0], "a second document: only one is read");
  return first;
}

/** A value as a flag would have it; null where it has another form, which was told to `flaw`. */
function textOf(
  value: Node,
  { parts, takes }: Option<unknown>,
  flaw: (node: Node, what: string) => void,
): string | null {
  if (isMap(value) && parts === "map") {
    const members = value.items.map(({ key, value: part }) => {
      const [name, text] = [key, part].map((one) => isNode(one) ? scalarOf(one, flaw) : "");
      if (name?.includes("=") === true) flaw(value, "has a name with =");
      return name === null || text === null ? null : `${name}=${text}`;
    });
    return joined(members, value, flaw);
  }
  if (isSeq(value) && parts !== undefined) {
    return joined(value.items.map((one) => isNode(one) ? scalarOf(one, flaw) : ""), value, flaw);
  }
  if (isMap(value) || isSeq(value)) {
    flaw(value, `takes ${takes}; this is a ${isMap(value) ? "map" : "list"}`);
    return null;
  }
  return scalarOf(value, flaw);
}

function joined(
  parts: readonly (string | null)[],
  node: Node,
  flaw: (node: Node, what: string) => void,
): string | null {
  if (parts.includes(null)) return null;
  if (parts.some((part) => part?.includes(",") === true)) {
    flaw(node, "has a part with a comma: write each part by itself");
    return null;
  }
  return parts.join(",");
}

function scalarOf(node: Node, flaw: (node: Node, what: string) => void): string | null {
  if (!isScalar(node)) {
    flaw(node, isAlias(node) ? "is an alias: write it out" : "has a map or a list inside");
    return null;
  }
  if (node.anchor !== undefined || node.tag !== undefined) {
    flaw(node, "has an anchor or a tag: write it without");
    return null;
  }
  // A number or `true` as it is spelled: the table's schemas know what it means.
  if (typeof node.value === "string") return node.value;
  return node.value === null ? "" : node.source ?? "";
}

function isOptionName(name: string): name is OptionName {
  return Object.hasOwn(nodeOptions, name);
}

/** Names in the style of flags and variables are what people write first. */
function suggestion(name: string): string {
  const plain = name.replace(/^(--|HOLDFAST_)/i, "").replaceAll(/[-_]/g, "");
  const names = (Object.keys(nodeOptions) as OptionName[]).filter((one) =>
    (nodeOptions[one] as Option<unknown>).isOutsideFile !== true
  );
  const near = nearest(plain, names);
  return near === null ? "; holdfast config example lists them" : `: did you mean ${near}?`;
}

function firstLine(text: string): string {
  return text.split("\n")[0] ?? "";
}
