/**
 * Builds the scoring model's catalog from its outside parts: the registry file, `crawler-user-agents` (names), `isbot` (generic
 * detection) and `ua-parser-js` 1.x (device facts; 2.x has a licence we do not use). Reads one file of this package, at start.
 * Tests: catalog.test.ts beside this file.
 */
import { readFileSync } from "node:fs";
import { BOT_CATEGORIES, type BotCategory } from "@headwater/protocol";
import crawlers from "crawler-user-agents";
import { isbot } from "isbot";
import { UAParser } from "ua-parser-js";
import { z } from "zod";
import { type Catalog, createCatalog, type ParsedAgent, type RegistryData, type RegistryName } from "../domain/index.ts";

const RegistryFile = z.object({
  version: z.string(),
  entries: z.array(
    z.object({
      token: z.string().min(3),
      name: z.string().min(1),
      category: z.enum(BOT_CATEGORIES),
      at: z.enum(["start", "word"]).optional(),
    }),
  ),
});

/** What we use of their list; their types leave out the tags. */
const Crawlers = z.array(z.object({ pattern: z.string().min(1), tags: z.array(z.string()).default([]) }));

/** Their tags → our categories, most telling tag first. */
const CATEGORY_OF_TAG: readonly (readonly [string, BotCategory])[] = [
  ["ai-crawler", "ai_agent"],
  ["search-engine", "search_crawler"],
  ["social-preview", "social_preview"],
  ["feed-reader", "social_preview"],
  ["monitoring", "monitoring"],
  ["scanner", "scanner"],
  ["browser-automation", "automation"],
  ["seo", "seo_tool"],
  ["advertising", "seo_tool"],
  ["http-library", "scraper"],
  ["archiver", "scraper"],
  ["academic", "scraper"],
];

const REGISTRY_FILE = new URL("../../data/bot-registry.json", import.meta.url);

/** @param maxEntries distinct user agents kept in memory, about 0.5 KB each. */
export function openCatalog(maxEntries?: number): Catalog {
  return createCatalog({
    registry: loadRegistry(),
    parse: parseAgent,
    looksLikeBot: isbot,
    ...(maxEntries === undefined ? {} : { maxEntries }),
  });
}

function loadRegistry(): RegistryData {
  const file = RegistryFile.parse(JSON.parse(readFileSync(REGISTRY_FILE, "utf8")));
  return { ...file, names: Crawlers.parse(crawlers).map(nameOf) };
}

function nameOf(crawler: z.infer<typeof Crawlers>[number]): RegistryName {
  const category = CATEGORY_OF_TAG.find(([tag]) => crawler.tags.includes(tag))?.[1] ?? "unknown_bot";
  const literal = literalOf(crawler.pattern);
  const name = plainName(literal?.token ?? crawler.pattern);
  return literal === null ? { pattern: new RegExp(crawler.pattern, "i"), name, category } : { ...literal, name, category };
}

/** The text a pattern stands for, if it is only text but for escapes, a leading `^` and `[aA]`; null for a real regular expression. */
function literalOf(pattern: string): { token: string; at?: "start" } | null {
  const body = pattern
    .replace(/^\^/, "")
    .replace(/\[(\w)(\w)\]/g, (both, a: string, b: string) => (a.toLowerCase() === b.toLowerCase() ? a : both));
  const hasSyntax = /[\\[\](){}|*+?^$.]/.test(body.replace(/\\[^\w\s]/g, ""));
  const token = body.replace(/\\([^\w\s])/g, "$1");
  if (hasSyntax || token.length < 3) return null;
  return pattern.startsWith("^") ? { token, at: "start" } : { token };
}

/** Readable name from a token or a pattern: its text up to the first alternative, without outer punctuation. */
function plainName(text: string): string {
  const name = text
    .replace(/\[(\w)[^\]]*\]/g, "$1")
    .replace(/\\(\W)/g, "$1")
    .replace(/^\W+/, "")
    .replace(/[|(].*$/, "")
    .replace(/[\s/;:-]+$/, "");
  return name === "" ? text : name;
}

function parseAgent(userAgent: string): ParsedAgent {
  const parser = new UAParser(userAgent);
  return { os: parser.getOS().name, deviceType: parser.getDevice().type };
}
