import { VisitorContext } from "@headwater/protocol";
import { expect, it } from "vitest";
import { neutralContext } from "./neutral-context.ts";

it("is a valid context that claims nothing", () => {
  const context = neutralContext("vis_1", "", 1_700_000_000_000);
  expect(VisitorContext.parse(context)).toEqual(context);
  expect(context.bot.isBot).toBe(false);
});
