/**
 * Random inputs of the visitor lanes: few visitors, many kinds of event, client ids that repeat, times that jump, opt-outs, and lines that
 * are no input at all. Pure but for the given chance; used by scoring.test.ts.
 */
import { laneOf, type VisitEvent, type VisitInput, visitorKey } from "@headwater/protocol";

export interface Line {
  lane: number;
  text: string;
  /** Undefined: a line that no fold may touch. */
  input?: VisitInput;
}

const AGENTS = [
  "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
  "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15",
  "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
  "curl/8.5.0",
  "",
];
const PATHS = [
  "/",
  "/pricing",
  "/product/a",
  "/product/b",
  "/cart",
  "/checkout",
  "/thank-you",
  "/blog/x",
  "/help",
  "/account/cancel",
  "/größe/🙂",
  '/"\\',
];
const NAMES = [
  "add_to_cart",
  "remove_from_cart",
  "purchase",
  "search",
  "js_error",
  "_dead_click",
  "_thrash",
  "_exit_intent",
  "_tab_hidden",
  "_nav_scan",
  "mouse_dynamics_summary",
  "form_field_summary",
  "own \ud800 event",
];
const GARBAGE = ["{", "null", '{"v":2,"kind":"visit"}', '{"v":1,"kind":"visit","tenantId":"t"}', "\u0000"];
const START_MS = 1_713_797_640_000;
const MINUTE_MS = 60_000;

/**
 * @param random numbers in [0, 1).
 * @param lanes only visitors of these lanes, so that a lane has many of them.
 */
export function createVisits(random: () => number, visitors: number, lanes: readonly number[]): () => Line {
  const int = (below: number): number => Math.floor(random() * below);
  const chance = (share: number): boolean => random() < share;
  const pick = <T>(list: readonly T[]): T => list[int(list.length)] as T; // lists above are not empty
  const known: { tenantId: string; visitorId: string; lane: number }[] = [];
  for (let i = 0; known.length < visitors; i++) {
    const [tenantId, visitorId] = [`ten_${i % 2}`, `vis_${i}`];
    const lane = laneOf(visitorKey(tenantId, visitorId));
    if (lanes.includes(lane)) known.push({ tenantId, visitorId, lane });
  }
  let ts = START_MS;
  let n = 0;

  const eventOf = (tenantId: string, visitorId: string): VisitEvent => {
    const type = pick(["pageview", "pageview", "click", "click", "scroll", "form", "custom", "custom", "identify"] as const);
    const origin = chance(0.05) ? "edge" : "sdk";
    return {
      v: 1,
      kind: "visit",
      tenantId,
      siteId: pick(["site_tuned", "site_plain"]),
      keyType: chance(0.1) ? "server" : "browser",
      origin,
      id: `evt_${n++}`,
      ...(chance(0.3) ? { eid: `c${int(40)}` } : {}),
      type,
      visitorId,
      sessionId: origin === "edge" ? "" : `sess_${int(2)}`,
      scored: origin !== "edge",
      ts,
      // Mostly a little before it was received; sometimes out of order, sometimes with a fraction.
      et: ts - (chance(0.1) ? int(90_000) : int(500)) - (chance(0.2) ? random() : 0),
      path: pick(PATHS),
      ...(chance(0.3) ? { referrer: pick(["https://search.example/", "https://rival.example/x"]) } : {}),
      device: {
        userAgent: pick(AGENTS),
        ...(chance(0.3) ? { maxTouchPoints: 5 } : {}),
        ...(chance(0.1) ? { automation: { webdriver: true } } : {}),
      },
      ...(chance(0.1) ? { edge: { botScore: 1 + int(99), country: pick(["DE", "US"]), hosting: chance(0.5) } } : {}),
      ...detailOf(type),
    };
  };
  const detailOf = (type: VisitEvent["type"]): Partial<VisitEvent> => {
    switch (type) {
      case "click":
        return { element: { selector: pick(["#buy", "#plan", "a.next"]), text: pick(["Buy", "next"]), x: int(40), y: int(40) } };
      case "scroll":
        return { depth: int(101), timeOnPageMs: int(60_000) };
      case "form":
        return { form: { action: pick(["focus", "blur", "submit", "abandon"] as const), fieldCount: 6, filledCount: int(7) } };
      case "custom":
        return { name: pick(NAMES), value: int(200), ...(chance(0.3) ? { label: "#buy", properties: { entropy: random() } } : {}) };
      default:
        return {};
    }
  };

  return () => {
    ts += chance(0.02) ? 35 * MINUTE_MS : chance(0.3) ? int(20_000) : int(400);
    const { tenantId, visitorId, lane } = pick(known);
    if (chance(0.02)) return { lane, text: pick(GARBAGE) };
    const isPrivacy = chance(0.02);
    const input: VisitInput = isPrivacy
      ? { v: 1, kind: pick(["optout", "optin", "optin"] as const), tenantId, visitorId, id: `cmd_${n++}`, ts }
      : eventOf(tenantId, visitorId);
    const text = JSON.stringify(input);
    // What the service reads is what JSON carries.
    return { lane, text, input: JSON.parse(text) as VisitInput };
  };
}
