import { describe, expect, it } from "vitest";
import { ResourceStack } from "./resource-stack.ts";

describe("ResourceStack", () => {
  it("closes in reverse order, one after the other", async () => {
    const stack = new ResourceStack();
    const seen: string[] = [];
    for (const name of ["first", "second", "third"]) {
      stack.defer(async () => {
        seen.push(`${name} begins`);
        await Promise.resolve();
        seen.push(`${name} ends`);
      });
    }
    await stack.close();
    expect(seen).toEqual(["third begins", "third ends", "second begins", "second ends", "first begins", "first ends"]);
  });
  it("closes everything even when some fail, and tells all failures", async () => {
    const stack = new ResourceStack();
    const seen: string[] = [];
    stack.defer(() => void seen.push("first"));
    stack.defer(() => Promise.reject(new Error("second")));
    stack.defer(() => {
      throw new Error("third");
    });
    const failure: unknown = await stack.close().catch((error: unknown) => error);
    expect(seen).toEqual(["first"]);
    expect(failure).toBeInstanceOf(AggregateError);
    expect(failure instanceof AggregateError && failure.errors.map(String)).toEqual(["Error: third", "Error: second"]);
  });
  it("closes once, however often it is asked", async () => {
    const stack = new ResourceStack();
    let count = 0;
    stack.defer(() => void count++);
    await Promise.all([stack.close(), stack.close()]);
    await stack.close();
    expect(count).toBe(1);
  });
  it("refuses a late resource instead of leaking it", async () => {
    const stack = new ResourceStack();
    await stack.close();
    expect(() => stack.defer(() => undefined)).toThrow(/closing/);
  });
});
