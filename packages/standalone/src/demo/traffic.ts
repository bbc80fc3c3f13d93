/**
 * Recorded web traffic as visitor events: pure. Page requests of the recording, in their order, with times of today.
 * Source and licence of the recording: demo/README.md. Tests: traffic.test.ts.
 */
export interface RecordedRequest {
  visitor: string;
  method: string;
  path: string;
  status: number;
  referrer: string | null;
  ua: string;
}

const asset = /\.(?:css|js|png|jpe?g|gif|ico|svg|xml|txt|atom|rss|pdf|zip|gz|mp4|woff2?|ttf|eot)(?:\?|$)/i;

/** Page views only: what a page SDK would have sent. */
export function isPageView(row: RecordedRequest): boolean {
  return row.method === "GET" && row.status < 400 && row.ua !== "" && row.ua !== "-" && !asset.test(row.path);
}

/** @param loop how often the recording was played before; each round is a new session of the same visitors. */
export function toVisitorEvent(row: RecordedRequest, loop: number, nowMs: number): Record<string, unknown> {
  const path = row.path.split("?", 1)[0] ?? "/";
  return {
    type: "pageview",
    visitorId: `vis_demo_${row.visitor}`,
    sessionId: `sess_demo_${row.visitor}_${loop}`,
    timestamp: nowMs,
    page: {
      url: `https://demo.example${row.path}`,
      path,
      title: "",
      ...(row.referrer && row.referrer !== "-" ? { referrer: row.referrer } : {}),
    },
    device: { userAgent: row.ua, viewport: { width: 1280, height: 800 } },
    consent: { analytics: true },
  };
}
