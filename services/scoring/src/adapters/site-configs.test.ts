import type { RegistryRecord } from "@headwater/protocol";
import { expect, it } from "vitest";
import { createSiteConfigs } from "./site-configs.ts";

const record = (valueReference: number): RegistryRecord => ({
  v: 1,
  type: "site.updated",
  aggregate: "site",
  id: "site_1",
  at: "2026-01-01T00:00:00.000Z",
  data: {
    id: "site_1",
    tenantId: "ten_1",
    name: "main",
    domains: ["*"],
    createdAt: "2026-01-01T00:00:00.000Z",
    settings: {
      preset: "standard",
      honourGpc: false,
      allowedQueryKeys: [],
      excludedPathPrefixes: [],
      requireOrigin: false,
      trackingHosts: [],
      aliases: {},
      feed: { allowBrowserKeys: true },
      scoring: { valueReference },
    },
  },
});

it("gives the settings of the asked position and defaults before the first", () => {
  const versions = [record(100), record(900)];
  const configs = createSiteConfigs({
    getAt: (_aggregate, id, reg) => (id === "site_1" && reg >= 5 ? versions[reg >= 9 ? 1 : 0] : undefined),
  });
  expect(configs.at(4).of("site_1").valueReference).toBe(200);
  expect(configs.at(5).of("site_1").valueReference).toBe(100);
  expect(configs.at(9).of("site_1").valueReference).toBe(900);
  expect(configs.at(9).of("site_2").valueReference).toBe(200);
  expect(configs.at(9).of("site_1")).toBe(configs.at(10).of("site_1"));
});
