import { expect, it } from "vitest";
import { CannotUnseal, createSealer } from "./sealed-box.ts";

const sealer = createSealer("k".repeat(32));

it("opens what it sealed, in the same context only", () => {
  const box = sealer.seal("geheim ✓", "feed:1");
  expect(JSON.stringify(box)).not.toContain("geheim");
  expect(sealer.unseal(box, "feed:1")).toBe("geheim ✓");
  expect(() => sealer.unseal(box, "feed:2")).toThrow(CannotUnseal);
});

it("never seals the same text to the same bytes", () => expect(sealer.seal("a", "c").ct).not.toBe(sealer.seal("a", "c").ct));

it("refuses a damaged box and one of another key", () => {
  const box = sealer.seal("text", "c");
  expect(() =>
    sealer.unseal({ ...box, ct: `A${box.ct.slice(1)}` === box.ct ? `B${box.ct.slice(1)}` : `A${box.ct.slice(1)}` }, "c"),
  ).toThrow(CannotUnseal);
  expect(() => sealer.unseal({ ...box, ct: "" }, "c")).toThrow(CannotUnseal);
  expect(() => createSealer("o".repeat(32)).unseal(box, "c")).toThrow(/another key/);
});
