/** What a node's options come to, for people: each option's text, where it was found, and an example of a file. */
import type { NodeConfig } from "../config.ts";
import { environmentOf, flagOf, nodeOptions, type Option, type OptionName } from "./options.ts";
import { find, type Source, type Sources } from "./sources.ts";

/** One option as it counts. */
export interface EffectiveOption {
  readonly name: OptionName;
  /** As a flag would have it; null where there is none. Of a secret it says no more than its length. */
  readonly value: string | null;
  readonly isSecret: boolean;
  readonly source: Source;
}

/** Every option, in the table's order; `config` is what they come to, if all of them are right. */
export function effectiveOptions(
  sources: Sources,
  config: NodeConfig | null,
): readonly EffectiveOption[] {
  return optionNames().map((name) => {
    const { text, source } = find(name, sources);
    const isSecret = optionOf(name).isSecret === true;
    const value = text === null ? derived(name, config) : isSecret ? redacted(text) : text;
    return { name, value, isSecret, source };
  });
}

/** A YAML file with every option as a comment: its meaning, its other names, its default. */
export function exampleFile(): string {
  const options = optionNames().filter((name) => optionOf(name).isOutsideFile !== true);
  const head = "# A node's options. What is not said keeps its default; a flag wins over an " +
    "environment\n# variable, and that over this file.\n";
  return head + options.map((name) => {
    const { help, takes, default: preset, isSecret } = optionOf(name);
    const note = isSecret === true ? "# A secret: let nobody else read this file.\n" : "";
    return `\n${comment(`${help}; takes ${takes}`)}${note}# ${flagOf(name)}, ${
      environmentOf(name)
    }\n#${name}:${preset === null ? "" : ` ${preset}`}\n`;
  }).join("");
}

function optionNames(): OptionName[] {
  return Object.keys(nodeOptions) as OptionName[];
}

function optionOf(name: OptionName): Option<unknown> {
  return nodeOptions[name];
}

function redacted(secret: string): string {
  return `(${secret.length} characters)`;
}

/** What follows from other options. */
function derived(name: OptionName, config: NodeConfig | null): string | null {
  if (config === null) return null;
  if (name === "advertise") return config.advertise;
  if (name === "data") return config.storage === "file" ? config.data : null;
  if (name !== "peers" || config.join !== null || config.discovery !== null) return null;
  return Object.entries(config.peers).map(([id, url]) => `${id}=${url}`).join(",");
}

const LINE_CHARACTERS_MAX = 98;

function comment(text: string): string {
  const lines: string[] = [];
  let line = "#";
  for (const word of text.split(" ")) {
    if (line.length + 1 + word.length > LINE_CHARACTERS_MAX && line !== "#") {
      lines.push(line);
      line = "#";
    }
    line += ` ${word}`;
  }
  return [...lines, line].map((one) => `${one}\n`).join("");
}
