/** Takes the lock that its argument names (waiting for it as many milliseconds as the second says), says how that went, and holds it until it is killed or its input ends. */
import process from "node:process";
import { NodeFileSystem } from "../../src/adapters/node-fs.ts";

try {
  const [path = "", lockWaitMs] = process.argv.slice(2);
  await new NodeFileSystem({ lockWaitMs: Number(lockWaitMs) }).lock(path);
  process.stdout.write("held\n");
  process.stdin.resume();
} catch (error) {
  process.stdout.write(`${String(error)}\n`);
}
