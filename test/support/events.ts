/**
 * Visitor events as request text, cheap enough to make tens of thousands a second: everything but ids and time is ready-made.
 * An event's id is `<run>.<n>.<tag>` in base 36, so that a sink can account for it without a table. Pure but for the time it is given.
 */

/**
 * @param n number of the event in its run, from 0.
 * @param tag free number: due time in µs (benchmarks) or the visitor's own counter (fault runs).
 */
export const formatEventId = (run: string, n: number, tag: number): string => `${run}.${n.toString(36)}.${tag.toString(36)}`;

const USER_AGENTS = [
  "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
  "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
  "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:144.0) Gecko/20100101 Firefox/144.0",
  "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
];
const PAGES: [string, string][] = [
  ["/", "Start"],
  ["/products/blue-shoes", "Blue shoes"],
  ["/pricing", "Pricing"],
  ["/blog/how-to-choose", "How to choose"],
  ["/cart", "Your cart"],
  ["/help/returns", "Returns"],
];
const KINDS = [
  '"type":"pageview"',
  '"type":"click","element":{"selector":"main > a.button","text":"Read more","x":210,"y":340}',
  '"type":"scroll","depth":50,"timeOnPage":4200',
  '"type":"custom","name":"video_played","category":"media","value":1',
  '"type":"pageview"',
];

export interface EventMaker {
  /** JSON of one event of a visitor. */
  event(visitor: number, eventId: string, timestampMs: number): string;
}

/** `visitors` distinct visitors with one session each; page, kind and device vary with the event's number. */
export function createEventMaker(run: string, visitors: number): EventMaker {
  const heads = Array.from(
    { length: visitors },
    (_, i) => `"visitorId":"vis_${run}${i.toString(36).padStart(12, "0")}","sessionId":"sess_${run}${i.toString(36)}","timestamp":`,
  );
  const tails: string[] = [];
  for (const userAgent of USER_AGENTS)
    for (const [path, title] of PAGES)
      tails.push(
        `,"page":{"url":"https://shop.example${path}","path":"${path}","title":"${title}","referrer":"https://www.google.com/"},` +
          `"device":{"userAgent":"${userAgent}","viewport":{"width":1440,"height":900},"language":"en-US"},"_eid":"`,
      );
  let turn = 0;
  return {
    event(visitor, eventId, timestampMs) {
      turn = (turn + 1) % 1_000_003;
      return `{${KINDS[turn % KINDS.length]},${heads[visitor % visitors]}${timestampMs}${tails[turn % tails.length]}${eventId}"}`;
    },
  };
}

/** A complete `POST /v1/events` request; every part is ASCII, so characters are bytes. */
export function eventsRequest(target: { host: string; port: number; key: string }, events: readonly string[]): string {
  const body = `{"events":[${events.join(",")}]}`;
  return (
    `POST /v1/events HTTP/1.1\r\nHost: ${target.host}:${target.port}\r\nX-API-Key: ${target.key}\r\n` +
    `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`
  );
}
