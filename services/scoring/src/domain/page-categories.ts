/**
 * Which kind of page a path is. Rules match whole path segments (or prefixes), never parts of words, in linear time;
 * the first category in table order wins. Tests: page-categories.test.ts.
 */
import { PAGE_CATEGORIES, type PageCategory } from "@headwater/protocol";

/** Index into `CATEGORIES`, the form the state keeps. */
export type CategoryIndex = number;

const DEFAULT_SEGMENTS: { readonly [C in (typeof PAGE_CATEGORIES)[number]]: readonly string[] } = {
  purchase: ["thank-you", "thanks", "order-confirmation", "order-complete", "success"],
  payment: ["payment", "pay"],
  checkout: ["checkout"],
  cart: ["cart", "basket", "bag"],
  signup: ["signup", "sign-up", "register", "trial", "demo", "get-started"],
  cancel: ["cancel", "cancellation", "downgrade", "unsubscribe", "close-account"],
  billing: ["billing"],
  pricing: ["pricing", "plans", "compare"],
  product: ["product", "products", "shop", "item", "p", "features", "solutions", "services", "category"],
  help: ["help", "faq", "support", "contact", "docs"],
  search: ["search"],
  content: ["blog", "articles", "news"],
};

const STAGES: { readonly [C in PageCategory]: number } = {
  purchase: 1,
  payment: 0.9,
  checkout: 0.8,
  cart: 0.6,
  signup: 0.6,
  cancel: 0,
  billing: 0,
  pricing: 0.4,
  product: 0.3,
  help: 0,
  search: 0.15,
  content: 0,
  other: 0,
};

const HIGH_VALUE: readonly PageCategory[] = ["product", "pricing", "signup", "cart", "checkout", "payment", "purchase"];
const CONVERSION: readonly PageCategory[] = ["pricing", "signup", "cart", "checkout", "payment"];
const FLOW: readonly PageCategory[] = ["signup", "cart", "checkout", "payment"];

export interface Category {
  readonly name: PageCategory;
  /** Depth in the funnel, 0–1. */
  readonly stage: number;
  readonly isHighValue: boolean;
  readonly isConversion: boolean;
  readonly isFlow: boolean;
}

/** Table order, `other` last. */
export const CATEGORIES: readonly Category[] = [...PAGE_CATEGORIES, "other" as const].map((name) => ({
  name,
  stage: STAGES[name],
  isHighValue: HIGH_VALUE.includes(name),
  isConversion: CONVERSION.includes(name),
  isFlow: FLOW.includes(name),
}));

const OTHER: CategoryIndex = CATEGORIES.length - 1;
const OTHER_CATEGORY: Category = { name: "other", stage: 0, isHighValue: false, isConversion: false, isFlow: false };

export function categoryAt(index: CategoryIndex): Category {
  return CATEGORIES[index] ?? OTHER_CATEGORY;
}

export interface PageClassifier {
  categoryOf(path: string): CategoryIndex;
}

const CACHE_ENTRIES = 4_096;
/** A page file such as `pricing.html` is the page `pricing`. */
const PAGE_EXTENSION = /\.(?:html?|php|aspx?|jsp)$/;

/** @param overrides category → rules replacing its default list; a rule starting with `/` is a prefix with `*` for one segment. */
export function createPageClassifier(overrides: { readonly [C in PageCategory]?: readonly string[] | undefined }): PageClassifier {
  const bySegment = new Map<string, CategoryIndex>();
  const prefixes: { segments: string[]; category: CategoryIndex }[] = [];
  PAGE_CATEGORIES.forEach((name, category) => {
    for (const rule of overrides[name] ?? DEFAULT_SEGMENTS[name]) {
      const lower = rule.toLowerCase();
      if (lower.startsWith("/")) prefixes.push({ segments: segmentsOf(lower), category });
      else if (!bySegment.has(lower)) bySegment.set(lower, category);
    }
  });

  const classify = (path: string): CategoryIndex => {
    const segments = segmentsOf(decodeOnce(path).toLowerCase());
    let best = OTHER;
    for (const segment of segments) {
      const category = bySegment.get(segment) ?? bySegment.get(segment.replace(PAGE_EXTENSION, "")) ?? OTHER;
      if (category < best) best = category;
    }
    for (const prefix of prefixes) {
      if (prefix.category < best && startsWithSegments(segments, prefix.segments)) best = prefix.category;
    }
    return best;
  };

  const cache = new Map<string, CategoryIndex>();
  return {
    categoryOf(path) {
      const cached = cache.get(path);
      if (cached !== undefined) return cached;
      if (cache.size >= CACHE_ENTRIES) cache.clear();
      const category = classify(path);
      cache.set(path, category);
      return category;
    },
  };
}

function segmentsOf(path: string): string[] {
  return path.split("/").filter((segment) => segment !== "");
}

function startsWithSegments(segments: readonly string[], prefix: readonly string[]): boolean {
  return prefix.length <= segments.length && prefix.every((segment, i) => segment === "*" || segment === segments[i]);
}

function decodeOnce(path: string): string {
  if (!path.includes("%")) return path;
  try {
    return decodeURIComponent(path);
  } catch (malformed) {
    // A path with a broken escape is matched as it came; anything but a URIError would be ours.
    if (malformed instanceof URIError) return path;
    throw malformed;
  }
}
