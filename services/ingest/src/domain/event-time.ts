/**
 * Corrected event time. Clients' clocks are wrong and SDKs flush late; scoring needs the gaps between events, so it uses `et`, never
 * the receive time. Pure: the server's time is an argument. Tests: event-time.test.ts.
 */
const CLOCK_SKEW_LIMIT_MS = 5 * 60_000;
const MAX_AGE_MS = 7 * 86_400_000;

export type EventTime = { ok: true; et: number } | { ok: false; code: "event_too_old" };

/** All arguments in ms since epoch. `sentAt` is the client's clock when it sent the batch. */
export function eventTime(timestamp: number, sentAt: number | undefined, receivedAt: number): EventTime {
  const age = sentAt === undefined ? receivedAt - timestamp : sentAt - timestamp;
  if (age > MAX_AGE_MS) return { ok: false, code: "event_too_old" };
  if (sentAt === undefined) return { ok: true, et: Math.abs(receivedAt - timestamp) <= CLOCK_SKEW_LIMIT_MS ? timestamp : receivedAt };
  return { ok: true, et: age < -CLOCK_SKEW_LIMIT_MS ? receivedAt : receivedAt - age };
}
