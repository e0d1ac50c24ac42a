/** Runs command lines one after the other, as `src/cli/main.ts` runs one, and prints what became of each as JSON. */
import process from "node:process";
import { runAndTell } from "../../src/cli/run.ts";

const outputs = { stdout: "", stderr: "" };
const print = process.stdout.write.bind(process.stdout);
for (const name of ["stdout", "stderr"] as const) {
  process[name].write = (chunk: string | Uint8Array, ...rest: unknown[]): boolean => {
    outputs[name] += typeof chunk === "string" ? chunk : new TextDecoder().decode(chunk);
    const done = rest.findLast((each) => typeof each === "function");
    if (done !== undefined) queueMicrotask(() => done());
    return true;
  };
}

const lines: unknown = JSON.parse(process.argv[2] ?? "[]");
const ended = [];
for (const line of Array.isArray(lines) ? lines : []) {
  outputs.stdout = outputs.stderr = "";
  const status = await runAndTell(line);
  ended.push({ status, ...outputs });
}
print(JSON.stringify(ended), () => process.exit(0));
