import type { ReadMessage } from "@headwater/messaging";
import { expect, it } from "vitest";
import { InputQueue } from "./input-queue.ts";

const message = (seq: number, bytes = 10): ReadMessage => ({
  seq,
  subject: "visits.0",
  data: new Uint8Array(bytes),
  timeMs: 0,
  pending: 5,
  header: () => undefined,
});

it("hands messages out in order", () => {
  const queue = new InputQueue();
  for (let seq = 1; seq <= 2_000; seq++) void queue.push(message(seq));
  const seen: number[] = [];
  for (let next = queue.shift(); next; next = queue.shift()) seen.push(next.seq);
  expect(seen).toEqual(Array.from({ length: 2_000 }, (_, i) => i + 1));
  expect(queue.length).toBe(0);
});

it("holds the reader back when full, until half is gone", async () => {
  const queue = new InputQueue();
  const kib = 256 * 1024;
  const answers = Array.from({ length: 9 }, (_, i) => queue.push(message(i, kib)));
  expect(answers.filter((answer) => answer instanceof Promise)).toHaveLength(1);
  let isFree = false;
  const freed = Promise.resolve(answers.at(-1)).then(() => {
    isFree = true;
  });
  for (let i = 0; i < 4; i++) queue.shift();
  await Promise.resolve();
  expect(isFree).toBe(false);
  queue.shift();
  await freed;
  expect(isFree).toBe(true);
});

it("wakes its waiter on arrival, and lets a held reader go when cleared", async () => {
  const queue = new InputQueue();
  const waited = queue.wait(60_000);
  void queue.push(message(1));
  await waited;
  const held = queue.push(message(2, 3 * 1024 * 1024));
  queue.clear();
  await held;
  expect(queue.peek()).toBeUndefined();
});
