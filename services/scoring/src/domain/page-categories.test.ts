import { describe, expect, it } from "vitest";
import { CATEGORIES, categoryAt, createPageClassifier } from "./page-categories.ts";

const nameOf = (path: string, overrides = {}): string => categoryAt(createPageClassifier(overrides).categoryOf(path)).name;

describe("page categories", () => {
  it.each([
    ["/", "other"],
    ["", "other"],
    ["/pricing", "pricing"],
    ["/en/Pricing/", "pricing"],
    ["/pricing.html", "pricing"],
    ["/docs/a", "help"],
    ["/account/cancel", "cancel"],
    ["/shop/checkout/thank-you", "purchase"],
    ["/products/cart-bag-holder", "product"],
    ["/shopping", "other"],
    ["/my-cart", "other"],
    ["/p/12", "product"],
    ["/blog/pricing", "pricing"],
    ["/order%2Dconfirmation", "purchase"],
    ["/%E0%A4%A/pricing", "pricing"],
  ])("%s is %s", (path, expected) => expect(nameOf(path)).toBe(expected));

  it("replaces a category's rules by segments and prefixes", () => {
    const overrides = { pricing: ["preise", "/de/angebot/*"] };
    expect(nameOf("/de/preise", overrides)).toBe("pricing");
    expect(nameOf("/de/angebot/gold/details", overrides)).toBe("pricing");
    expect(nameOf("/de/angebot", overrides)).toBe("other");
    expect(nameOf("/pricing", overrides)).toBe("other");
  });

  it("answers the same from its cache, and survives more paths than the cache holds", () => {
    const pages = createPageClassifier({});
    for (let i = 0; i < 10_000; i++) pages.categoryOf(`/x/${i}`);
    expect(categoryAt(pages.categoryOf("/cart")).name).toBe("cart");
    expect(categoryAt(pages.categoryOf("/cart")).name).toBe("cart");
  });

  it("treats no page as other", () => {
    expect(categoryAt(-1).name).toBe("other");
    expect(CATEGORIES.at(-1)?.name).toBe("other");
  });
});
