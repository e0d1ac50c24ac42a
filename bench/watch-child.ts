/** Holds watchers in a process of its own: a URL and a number in; `ready`, and for each line on standard input one {@link Told} out. */
import process from "node:process";
import { createInterface } from "node:readline";
import { Watchers } from "./watchers.ts";

const [url = "", count = "0"] = process.argv.slice(2);
const watchers = await Watchers.open(url, Number(count));
process.stdout.write("ready\n");
for await (const line of createInterface({ input: process.stdin })) {
  if (line === "tell") process.stdout.write(`${JSON.stringify(watchers.told())}\n`);
}
watchers.close();
