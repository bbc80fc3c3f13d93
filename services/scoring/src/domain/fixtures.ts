/**
 * Builders for the tests of this folder: events in the shorthand of the test vectors, and a catalog with a handful of rules.
 * Shorthand: `<second> pv <path> [ref]`, `ck <selector> [text]`, `sc <depth>`, `cu <name> [value]`, `fm <action> <filled>/<fields>`, `id`.
 */
import type { VisitEvent } from "@headwater/protocol";
import { type Catalog, createCatalog } from "./catalog.ts";
import { foldVisit, type Labeled } from "./fold.ts";
import { compileSiteScoring, type SiteScoring } from "./site-scoring.ts";
import type { VisitorState } from "./visitor-state.ts";

export const CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";
/** Event time of second 0. */
export const T0 = Date.UTC(2026, 0, 15, 12);

export const defaultSite: SiteScoring = compileSiteScoring(undefined);

export function smallCatalog(): Catalog {
  return createCatalog({
    registry: {
      version: "test",
      entries: [
        { token: "Googlebot", name: "Googlebot", category: "search_crawler" },
        { token: "Applebot", name: "Applebot", category: "search_crawler" },
        { token: "ChatGPT-User", name: "ChatGPT", category: "ai_agent" },
        { token: "AhrefsBot", name: "AhrefsBot", category: "seo_tool" },
        { token: "curl/", name: "curl", category: "scraper" },
        { token: "python-httpx", name: "python-httpx", category: "scraper" },
      ],
      names: [],
    },
    parse: () => ({}),
    looksLikeBot: (userAgent) => /bot|crawl|spider/i.test(userAgent),
  });
}

export function visit(overrides: Partial<VisitEvent> = {}): VisitEvent {
  return {
    v: 1,
    kind: "visit",
    tenantId: "acme",
    siteId: "main",
    keyType: "browser",
    origin: "sdk",
    id: "evt_1",
    type: "pageview",
    visitorId: "vis_1",
    sessionId: "sess_1",
    scored: true,
    ts: T0,
    et: T0,
    path: "/",
    device: { userAgent: CHROME },
    ...overrides,
  };
}

/** Events of a script such as `0 pv / ref; 12 sc 30`, each on the page of the last pageview before it. */
export function script(text: string, overrides: Partial<VisitEvent> = {}): VisitEvent[] {
  let path = "/";
  return text.split(";").map((step, i) => {
    const [second = "0", kind = "", ...rest] = step.trim().split(/\s+/);
    if (kind === "pv") path = rest[0] ?? "/";
    const at = T0 + Math.round(Number(second) * 1_000);
    return visit({ ...overrides, id: `evt_${i}`, et: at, ts: at, path, ...specifics(kind, rest) });
  });
}

function specifics(kind: string, rest: readonly string[]): Partial<VisitEvent> {
  const [first = "", second] = rest;
  switch (kind) {
    case "pv":
      return { type: "pageview", ...(second === "ref" ? { referrer: "https://www.google.com/" } : {}) };
    case "ck":
      return { type: "click", element: { selector: first, x: 5, y: 5, ...(second === undefined ? {} : { text: second }) } };
    case "sc":
      return { type: "scroll", depth: Number(first) };
    case "cu":
      return { type: "custom", name: first, ...(second === undefined ? {} : { value: Number(second) }) };
    case "fm": {
      const [filledCount, fieldCount] = (second ?? "0/0").split("/").map(Number);
      return { type: "form", form: { action: formAction(first), filledCount: filledCount ?? 0, fieldCount: fieldCount ?? 0 } };
    }
    case "id":
      return { type: "identify" };
    default:
      throw new Error(`unknown step: ${kind}`);
  }
}

function formAction(text: string): NonNullable<VisitEvent["form"]>["action"] {
  switch (text) {
    case "focus":
    case "blur":
    case "change":
    case "submit":
    case "abandon":
      return text;
    default:
      throw new Error(`unknown form action: ${text}`);
  }
}

/** Folds all events and returns the labels of every one that was labeled. */
export function foldAll(state: VisitorState, events: readonly VisitEvent[], site = defaultSite, catalog = smallCatalog()): Labeled[] {
  return events.map((event) => foldVisit(state, event, site, catalog)).filter((result) => typeof result !== "string");
}

/** Labels of the last event of a script. */
export function foldScript(state: VisitorState, text: string, overrides: Partial<VisitEvent> = {}, site = defaultSite): Labeled {
  const last = foldAll(state, script(text, overrides), site).at(-1);
  if (last === undefined) throw new Error("the script labeled nothing");
  return last;
}
