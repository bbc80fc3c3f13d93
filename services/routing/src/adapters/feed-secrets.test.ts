import { createSealer } from "@headwater/runtime";
import { collectingLogger, quietLogger } from "@headwater/testkit";
import { expect, it } from "vitest";
import { EMPTY_SECRETS } from "../domain/feed-content.ts";
import { createFeedVault } from "./feed-secrets.ts";

const vault = createFeedVault(createSealer("k".repeat(32)), quietLogger());
const SECRETS = { queryParams: [], headers: [{ key: "a", value: "s3cret" }] };

it("opens what it sealed, for the same feed only; nothing needs no box", () => {
  const sealed = vault.seal("f1", SECRETS);
  expect(JSON.stringify(sealed)).not.toContain("s3cret");
  expect(vault.open("f1", sealed)).toEqual(SECRETS);
  expect(vault.open("f2", sealed)).toEqual(EMPTY_SECRETS);
  expect(vault.seal("f1", EMPTY_SECRETS)).toBeUndefined();
  expect(vault.open("f1", undefined)).toEqual(EMPTY_SECRETS);
});

it("says so, without the secret, when the key is another one", () => {
  const { log, lines } = collectingLogger();
  const other = createFeedVault(createSealer("x".repeat(32)), log);
  expect(other.open("f1", vault.seal("f1", SECRETS))).toEqual(EMPTY_SECRETS);
  expect(JSON.stringify(lines())).toContain("routing.feed_secrets_unreadable");
  expect(JSON.stringify(lines())).not.toContain("s3cret");
});
