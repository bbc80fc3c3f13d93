/** The committed configuration is the rendered one, and holds no password. */
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { NATS_CONF, renderNatsConf } from "./render.ts";

it("is current (npm run generate)", () => expect(readFileSync(NATS_CONF, "utf8")).toBe(renderNatsConf()));

it("takes every password from the environment", () => {
  const passwords = [...renderNatsConf().matchAll(/password: (\S+)/g)].map(([, value]) => value ?? "");
  expect(passwords).toHaveLength(8);
  expect(passwords.filter((value) => !/^\$NATS_PASSWORD_[A-Z]+$/.test(value))).toEqual([]);
});
