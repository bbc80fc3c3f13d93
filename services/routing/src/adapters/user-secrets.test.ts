import { createSealer } from "@headwater/runtime";
import { collectingLogger, quietLogger } from "@headwater/testkit";
import { expect, it } from "vitest";
import { createSecretVault } from "./user-secrets.ts";

const vault = createSecretVault(createSealer("k".repeat(32)), quietLogger());

it("opens what it sealed, for the same account and name only", () => {
  const sealed = vault.seal("u1", "A", "s3cret");
  expect(JSON.stringify(sealed)).not.toContain("s3cret");
  expect(vault.open("u1", "A", sealed)).toBe("s3cret");
  expect(vault.open("u2", "A", sealed)).toBeUndefined();
  expect(vault.open("u1", "B", sealed)).toBeUndefined();
});

it("says so, without the value, when the key is another one", () => {
  const { log, lines } = collectingLogger();
  expect(createSecretVault(createSealer("x".repeat(32)), log).open("u1", "A", vault.seal("u1", "A", "s3cret"))).toBeUndefined();
  expect(JSON.stringify(lines())).toContain("routing.secret_unreadable");
  expect(JSON.stringify(lines())).not.toContain("s3cret");
});
