/** Sample credentials, sites and events of ingest's own tests. */
import { type Credential, PLAN_LIMITS, SiteSettings } from "@headwater/protocol";
import type { z } from "zod";

export function site(settings: z.input<typeof SiteSettings> = {}, overrides: Partial<Credential["sites"][number]> = {}) {
  return {
    id: "site_1",
    tenantId: "ten_1",
    name: "main",
    domains: ["shop.example", "*.shop.example"],
    settings: SiteSettings.parse(settings),
    createdAt: "2026-01-01T00:00:00.000Z",
    ...overrides,
  };
}

export function credential(overrides: Partial<Credential> = {}): Credential {
  return {
    keyId: "key_1",
    keyType: "browser",
    tenantId: "ten_1",
    tenantSlug: "acme",
    plan: "scale",
    limits: PLAN_LIMITS.scale,
    scopes: ["events:write"],
    domains: [],
    sites: [site()],
    expiresAt: null,
    reg: 1,
    ...overrides,
  };
}

/** A valid pageview; anything may be replaced. */
export function pageview(overrides: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    type: "pageview",
    visitorId: "vis_aaaaaaaaaaaaaaaaaaaa",
    sessionId: "sess_1",
    timestamp: 1_700_000_000_000,
    page: { url: "https://shop.example/pricing", path: "/pricing", title: "Pricing", referrer: "https://search.example/?q=jane" },
    device: { userAgent: "Mozilla/5.0", viewport: { width: 1280, height: 720 } },
    ...overrides,
  };
}
