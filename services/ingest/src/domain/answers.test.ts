/** What the collector answers is what the published schemas say. */
import { BatchAnswer, ConsentConfigAnswer, PRIVACY_PRESETS, SiteRecord } from "@headwater/protocol";
import { describe, expect, it } from "vitest";
import { batchAnswer } from "./batch.ts";
import { consentConfig } from "./consent-config.ts";

describe("answers", () => {
  it("of a batch", () => {
    const answer = batchAnswer(
      {
        visits: [],
        consents: [],
        dropped: 2,
        dropReasons: { opted_out: 1, no_consent: 1 },
        errors: [{ index: 3, code: "missing_field", message: "visitorId: is missing" }],
      },
      0,
    );
    expect(BatchAnswer.parse(answer)).toEqual(answer);
  });
  it.each(PRIVACY_PRESETS)("of the consent configuration, preset %s", (preset) => {
    const site = SiteRecord.parse({
      id: "s1",
      tenantId: "t1",
      name: "main",
      domains: [],
      settings: { preset },
      createdAt: "2026-01-01T00:00:00Z",
    });
    expect(ConsentConfigAnswer.parse(consentConfig(site))).toEqual(consentConfig(site));
  });
});
