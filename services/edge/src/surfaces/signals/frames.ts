/** Control frames of the Signals Feed, server to client, as text. Field order as documented in docs/signals.md. Tests: handshake.int.test.ts, lifecycle.int.test.ts. */
import type { ErrorCode } from "@headwater/protocol";

export interface HelloFrame {
  ts: number;
  connectionId: string;
  tenantId: string;
  plan: string;
  capabilities: readonly string[];
  heartbeatIntervalMs: number;
  idleTimeoutMs: number;
  maxDurationMs: number;
  maxBufferedBytes: number;
  scoringVersion: string;
  cursor: string;
  filter: Record<string, unknown> | null;
  resumed: boolean;
}

export const feedFrames = {
  hello(h: HelloFrame): string {
    return JSON.stringify({
      type: "hello",
      message: "Signals Feed connected",
      ts: h.ts,
      connectionId: h.connectionId,
      protocol: "clickstream-v1",
      tenantId: h.tenantId,
      plan: h.plan,
      capabilities: h.capabilities,
      mode: "live",
      heartbeatIntervalMs: h.heartbeatIntervalMs,
      idleTimeoutMs: h.idleTimeoutMs,
      maxDurationMs: h.maxDurationMs,
      maxBufferedBytes: h.maxBufferedBytes,
      scoringVersion: h.scoringVersion,
      cursor: h.cursor,
      filter: h.filter,
      ...(h.resumed ? { resumed: true } : {}),
    });
  },
  ping: (timestamp: number): string => `{"type":"ping","timestamp":${timestamp}}`,
  pong: (timestamp: unknown): string => JSON.stringify({ type: "pong", ...(timestamp === undefined ? {} : { timestamp }) }),
  durationLimit: (maxDurationMs: number, closesInMs: number, cursor: string): string =>
    JSON.stringify({ type: "duration_limit", message: "Connection duration limit: reconnect", maxDurationMs, closesInMs, cursor }),
  gap: (fromCursor: string | undefined, toCursor: string): string =>
    JSON.stringify({ type: "gap", reason: "retention", ...(fromCursor === undefined ? {} : { fromCursor }), toCursor }),
  live: (cursor: string): string => JSON.stringify({ type: "live", cursor }),
  subscribed: (id: string | undefined, filter: Record<string, unknown> | null): string =>
    JSON.stringify({ type: "subscribed", ...(id === undefined ? {} : { id }), filter, mode: "live" }),
  error: (id: string | undefined, code: ErrorCode, message: string): string =>
    JSON.stringify({ type: "error", ...(id === undefined ? {} : { id }), error: code, message }),
  closing: (closesInMs: number, cursor: string): string => JSON.stringify({ type: "closing", reason: "draining", closesInMs, cursor }),
};
