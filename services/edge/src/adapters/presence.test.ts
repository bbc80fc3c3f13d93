import { PRESENCE_KEYS_PER_PART } from "@headwater/protocol";
import { expect, it } from "vitest";
import { partsOf } from "./presence.ts";

it("no keys are one part", () => {
  expect(partsOf({ signals: { sockets: 0, keys: new Map() } })).toEqual([{ signals: { sockets: 0, keys: {} } }]);
});

it("many keys are spread over parts, each naming every surface; outside text is a key like any other", () => {
  const names = ["__proto__", "constructor", ...Array.from({ length: PRESENCE_KEYS_PER_PART * 2 }, (_, n) => `f:${n}`)];
  const parts = partsOf({
    signals: { sockets: 1, keys: new Map([["acme", 1]]) },
    feeds: { sockets: 9, keys: new Map(names.map((name, n) => [name, n + 1])) },
  });
  expect(parts).toHaveLength(3);
  const seen = new Map(parts.flatMap((part) => Object.entries(part["feeds"]?.keys ?? {})));
  expect(seen.size).toBe(names.length);
  expect([seen.get("__proto__"), seen.get("constructor")]).toEqual([1, 2]);
  expect(parts.map((part) => part["feeds"]?.sockets)).toEqual([9, 9, 9]);
  expect(JSON.parse(JSON.stringify(parts[0]))["feeds"].keys).toHaveProperty("constructor", 2);
});
