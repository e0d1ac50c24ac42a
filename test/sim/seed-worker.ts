/** A thread that runs the seeds which it is sent, one after the other. */
import { parentPort, workerData } from "node:worker_threads";
import { summary } from "./seeds.ts";

parentPort?.on("message", (seed: bigint) => {
  void summary(seed, workerData).then((ended) => parentPort?.postMessage(ended));
});
