/** A small file that its owner alone may read, durable before anybody relies on it. */
import { open, readFile, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";

const ownersOnly = 0o600;

/** Writes `text` and a line break; durable when this resolves. */
export async function writeSecretFile(path: string, text: string): Promise<void> {
  const staged = `${path}.new`;
  await rm(staged, { force: true });
  // Made with its mode, not given it afterwards: nobody has a moment to read it in.
  const file = await open(staged, "wx", ownersOnly);
  try {
    await file.writeFile(`${text}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(staged, path);
  await syncDirectoryOf(path);
}

/** What {@link writeSecretFile} wrote; null where there is no such file. */
export async function readSecretFile(path: string): Promise<string | null> {
  try {
    return (await readFile(path, "utf8")).trim();
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
}

/** No error where there is none. */
export async function removeSecretFile(path: string): Promise<void> {
  await rm(path, { force: true });
  await syncDirectoryOf(path);
}

async function syncDirectoryOf(path: string): Promise<void> {
  const directory = await open(dirname(path), "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
