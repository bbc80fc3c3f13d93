import { expect, it } from "vitest";
import { isObjectId, objectIdOf } from "./object-id.ts";

it("is seconds and random bytes in hex", () => {
  const id = objectIdOf(1_769_802_850_630, Uint8Array.of(0, 1, 2, 3, 4, 5, 254, 255));
  expect(id).toBe("697d0c62000102030405feff");
  expect(isObjectId(id)).toBe(true);
  expect(() => objectIdOf(0, new Uint8Array(4))).toThrow(RangeError);
});

it.each([["697d0c62000102030405fef"], ["697D0C62000102030405FEFF"], ["65f123abc456def789ghijkl"], [5], [undefined]])(
  "%s is not one",
  (value) => expect(isObjectId(value)).toBe(false),
);
