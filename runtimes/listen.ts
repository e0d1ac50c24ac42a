/** Where a node's own server listens, and to whom. */
import { type NodeConfig, serverLimits } from "../src/config.ts";
import { type ListenAddress, urlOf } from "../src/config/options.ts";
import { BadConfiguration } from "../src/errors.ts";
import { HostCheck } from "../src/http/host-check.ts";
import type { Credentials } from "./credentials.ts";
import type { Handler } from "./door.ts";
import type { Runtime, Server } from "./runtime.ts";

/** @throws {BadConfiguration} where the address can't be listened on. */
export async function listen(
  runtime: Runtime,
  address: ListenAddress,
  handler: Handler,
  credentials: Credentials,
): Promise<Server> {
  try {
    const { server } = credentials;
    if (server === null) return await runtime.serve(address, handler, serverLimits);
    const secure = await runtime.serveTls(address, handler, serverLimits, server);
    credentials.keepCurrent(secure);
    return secure;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    const reason = code === "EADDRINUSE" ? "it is in use" : String(error);
    throw new BadConfiguration(
      `--listen takes host:port that is free; ${address.host}:${address.port} can't be listened on: ${reason}`,
      { cause: error },
    );
  }
}

/** Whoever embeds a node lets in whom they like, and gets null, unless they ask for this. */
export function hostCheckFor(
  { advertise, allowedHosts, allowedOrigins, listen: address, tls }: NodeConfig,
  { isServed, peersSign, urls }: {
    /** Whether its server is its own. */
    readonly isServed: boolean;
    readonly peersSign: boolean;
    /** Members' URLs, at the moment. */
    readonly urls: () => readonly string[];
  },
): HostCheck | null {
  const isAsked = allowedHosts.length > 0 || allowedOrigins.length > 0;
  if (!isServed && !isAsked) return null;
  const own = [advertise, urlOf(address)];
  const known = (): readonly string[] => [...own, ...urls()];
  const isTls = tls.cert !== null;
  return new HostCheck({ allowedHosts, allowedOrigins, known, peersSign, isTls });
}
