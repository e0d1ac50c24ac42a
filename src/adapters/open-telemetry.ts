/**
 * Traces through OpenTelemetry's API: the spans of `ports.ts` as those of whichever SDK the process has registered.
 * Without one there is no tracer at all, and requests are answered as if this file weren't there.
 *
 * Between nodes, and from clients, the way goes on in `traceparent` and `tracestate` (W3C Trace Context), whatever
 * propagator is registered. A span that the process's own instrumentation has begun for a request comes before these.
 */
import {
  type Context,
  context,
  createTraceState,
  isSpanContextValid,
  ProxyTracerProvider,
  ROOT_CONTEXT,
  type Span as ApiSpan,
  SpanKind,
  SpanStatusCode,
  trace,
  type Tracer as ApiTracer,
} from "@opentelemetry/api";
import type { HeaderLookup, Span, SpanKindName, Tracer } from "../ports.ts";

/** Longer lists of other vendors' are left behind. */
const stateCharactersMax = 512;
/** Versions after 00 may say more behind it. */
const parentForm = /^(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

const kinds: Readonly<Record<SpanKindName, SpanKind>> = {
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
  internal: SpanKind.INTERNAL,
};

/** The tracer over the SDK that is registered now, or null where none is. */
export function openTelemetry(version: string): Tracer | null {
  const provider = trace.getTracerProvider();
  // What the API has of its own, for as long as nobody has registered another.
  const none = new ProxyTracerProvider().getDelegate();
  if (provider instanceof ProxyTracerProvider && provider.getDelegate() === none) return null;
  const tracer = provider.getTracer("holdfast", version);
  return {
    enter: (name, headers, attributes) => {
      const active = context.active();
      const parent = trace.getSpan(active) === undefined ? cameWith(headers) : active;
      return new TracedSpan(tracer, parent, { name, kind: "server", attributes });
    },
  };
}

/** The context that a request's headers name; the root where they name none. */
function cameWith(headers: HeaderLookup): Context {
  const [, version, traceId, spanId, flags, more] =
    parentForm.exec(headers.get("traceparent") ?? "") ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return ROOT_CONTEXT;
  if (version === "00" && more !== undefined) return ROOT_CONTEXT;
  const spanContext = { traceId, spanId, traceFlags: parseInt(flags, 16) & 1, isRemote: true };
  if (!isSpanContextValid(spanContext)) return ROOT_CONTEXT;
  const state = headers.get("tracestate") ?? "";
  const isCarried = state !== "" && state.length <= stateCharactersMax;
  return trace.setSpanContext(
    ROOT_CONTEXT,
    isCarried ? { ...spanContext, traceState: createTraceState(state) } : spanContext,
  );
}

interface SpanBeginning {
  readonly name: string;
  readonly kind: SpanKindName;
  readonly attributes: Readonly<Record<string, string | number>>;
}

class TracedSpan implements Span {
  readonly #tracer: ApiTracer;
  readonly #span: ApiSpan;
  readonly #context: Context;

  constructor(tracer: ApiTracer, parent: Context, { name, kind, attributes }: SpanBeginning) {
    this.#tracer = tracer;
    this.#span = tracer.startSpan(
      name,
      { kind: kinds[kind], attributes: { ...attributes } },
      parent,
    );
    this.#context = trace.setSpan(parent, this.#span);
  }

  child(name: string, kind: SpanKindName = "internal"): Span {
    return new TracedSpan(this.#tracer, this.#context, { name, kind, attributes: {} });
  }

  set(name: string, value: string | number): void {
    this.#span.setAttribute(name, value);
  }

  end(error: string | null = null): void {
    if (error !== null) {
      this.#span.setAttribute("error.type", error);
      this.#span.setStatus({ code: SpanStatusCode.ERROR });
    }
    this.#span.end();
  }

  headers(): Readonly<Record<string, string>> {
    const { traceId, spanId, traceFlags, traceState } = this.#span.spanContext();
    const flags = traceFlags.toString(16).padStart(2, "0");
    const traceparent = `00-${traceId}-${spanId}-${flags}`;
    const state = traceState?.serialize() ?? "";
    return state === "" ? { traceparent } : { traceparent, tracestate: state };
  }
}
