/** The ordered reader against a real server: every start, order over kills and lost consumers, gaps told, back-pressure. */
import { quietLogger, startNats, type TestNats, until } from "@headwater/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Nats, openNats } from "./connection.ts";
import { createPublisher, type Publisher } from "./publisher.ts";
import { openReader, type ReadMessage } from "./reader.ts";
import { ensureStream, purgeStream } from "./streams.ts";

let server: TestNats;
let nats: Nats;
let publisher: Publisher;
const log = quietLogger();
beforeAll(async () => {
  server = await startNats();
  nats = await openNats({ url: server.url, name: "test", log });
  publisher = createPublisher(nats);
});
afterAll(async () => {
  publisher.close();
  await nats.drain();
  await server.stop();
});

let made = 0;
/** A fresh stream `S<n>` for `s<n>.*`, with `count` messages on `s<n>.a`. */
async function stream(count: number, size = 10): Promise<{ name: string; subject: string }> {
  const name = `S${++made}`;
  await ensureStream(nats, { name, subjects: [`${name}.*`], max_bytes: 1e9 });
  await Promise.all(Array.from({ length: count }, (_, i) => publisher.publish(`${name}.a`, `${i + 1}`.padEnd(size, " "))));
  return { name, subject: `${name}.a` };
}

describe("reading", () => {
  it.each([
    ["all", "all" as const, [1, 500]],
    ["a sequence", { seq: 490 }, [490, 500]],
    ["the last", "last" as const, [500, 500]],
    ["a time long ago", { timeMs: 1_000 }, [1, 500]],
  ])("from %s gives every message in order", async (_name, from, [first = 0, last = 0]) => {
    const { name } = await stream(500);
    const seen: number[] = [];
    const reader = openReader(nats, { stream: name, from, log, onMessage: (msg) => void seen.push(msg.seq) });
    await reader.caughtUp;
    expect(seen).toEqual(Array.from({ length: last - first + 1 }, (_, i) => first + i));
    expect(reader.position()).toBe(last);
    await reader.stop();
  });

  it("gets messages larger than a pull's budget, in order with the small ones around them", async () => {
    const { name, subject } = await stream(3);
    const sizes = [10, 3_000_000, 10, 7_000_000, 6_000_000, 10, 1_100_000, 1_100_000, 10];
    for (const size of sizes) await publisher.publish(subject, "x".repeat(size));
    const seen: number[] = [];
    const reader = openReader(nats, {
      stream: name,
      from: { seq: 4 },
      maxBytesInFlight: 2_304 * 1024,
      log,
      // Back-pressure in between: the next pull goes out when it ends.
      onMessage: async (msg) => {
        await nats.flush();
        seen.push(msg.data.length);
      },
    });
    await reader.caughtUp;
    expect(seen).toEqual(sizes);
    await publisher.publish(subject, "x".repeat(5_000_000));
    await publisher.publish(subject, "y");
    await until("live ones too", () => seen.length === sizes.length + 2);
    expect(seen.slice(-2)).toEqual([5_000_000, 1]);
    await reader.stop();
  });

  it("from new skips what is there; an empty stream is caught up at once", async () => {
    const { name, subject } = await stream(3);
    const seen: ReadMessage[] = [];
    const reader = openReader(nats, { stream: name, from: "new", log, onMessage: (msg) => void seen.push(msg) });
    await reader.caughtUp;
    expect(seen).toEqual([]);
    await publisher.publish(subject, "4", { headers: { x: "y" } });
    await until("the new one", () => seen.length === 1);
    expect(seen[0]).toMatchObject({ seq: 4, subject, pending: 0 });
    expect(seen[0]?.header("x")).toBe("y");
    expect(Math.abs((seen[0]?.timeMs ?? 0) - Date.now())).toBeLessThan(60_000);
    await reader.stop();
  });

  it("of one subject sees only that subject", async () => {
    const { name } = await stream(3);
    await publisher.publish(`${name}.b`, "other");
    await publisher.publish(`${name}.a`, "5");
    const seen: number[] = [];
    const reader = openReader(nats, { stream: name, subject: `${name}.a`, from: "all", log, onMessage: (msg) => void seen.push(msg.seq) });
    await reader.caughtUp;
    expect(seen).toEqual([1, 2, 3, 5]);
    await reader.stop();
  });
});

describe("back-pressure", () => {
  it("holds messages back while the callback's promise is open, within its byte budget", async () => {
    const { name } = await stream(600, 20_000);
    let open: (() => void) | undefined;
    const seen: number[] = [];
    const reader = openReader(nats, {
      stream: name,
      from: "all",
      log,
      maxBytesInFlight: 1,
      onMessage: (msg) => {
        seen.push(msg.seq);
        if (msg.seq !== 5) return undefined;
        return new Promise<void>((resolve) => {
          open = resolve;
        });
      },
    });
    await until("it waits", () => open !== undefined);
    await nats.flush();
    expect(seen).toEqual([1, 2, 3, 4, 5]);
    expect(reader.position()).toBe(4);
    open?.();
    await reader.caughtUp;
    expect(seen).toEqual(Array.from({ length: 600 }, (_, i) => i + 1));
    await reader.stop();
  });

  it("stops at a callback that throws, before that message, and says so", async () => {
    const { name } = await stream(10);
    const failure = Promise.withResolvers<unknown>();
    const reader = openReader(nats, {
      stream: name,
      from: "all",
      log,
      onMessage: (msg) => {
        if (msg.seq === 4) throw new Error("no");
      },
      onError: failure.resolve,
    });
    expect(await failure.promise).toMatchObject({ message: "no" });
    expect(reader.position()).toBe(3);
    await reader.stop();
  });
});

describe("what goes wrong", () => {
  it("a deleted consumer is made anew without loss or repeat", async () => {
    const { name, subject } = await stream(100);
    const seen: number[] = [];
    const reader = openReader(nats, { stream: name, from: "all", log, onMessage: (msg) => void seen.push(msg.seq) });
    await reader.caughtUp;
    const answer = await nats.core.request(`$JS.API.CONSUMER.NAMES.${name}`, "");
    const { consumers } = JSON.parse(new TextDecoder().decode(answer.data)) as { consumers: string[] };
    expect(consumers).toHaveLength(1);
    await nats.core.request(`$JS.API.CONSUMER.DELETE.${name}.${consumers[0]}`, "");
    await Promise.all(Array.from({ length: 50 }, () => publisher.publish(subject, "more")));
    await until("the rest", () => seen.length === 150);
    expect(seen).toEqual(Array.from({ length: 150 }, (_, i) => i + 1));
    await reader.stop();
  });

  it("a purged part is told as a gap, at the start and in the middle", async () => {
    const { name, subject } = await stream(100);
    await purgeStream(nats, name, { seq: 11 });
    const gaps: { from: number; to: number }[] = [];
    const seen: number[] = [];
    const options = {
      stream: name,
      log,
      onGap: (gap: { from: number; to: number }) => void gaps.push(gap),
      onMessage: (msg: ReadMessage) => void seen.push(msg.seq),
    };
    const reader = openReader(nats, { ...options, from: { seq: 5 } });
    await reader.caughtUp;
    expect(gaps).toEqual([{ from: 5, to: 10 }]);
    expect(seen[0]).toBe(11);
    expect(seen.at(-1)).toBe(100);
    await reader.stop();
    gaps.length = seen.length = 0;
    // Everything asked for is gone: nothing to read, but not silent.
    await purgeStream(nats, name, { seq: 101 });
    const late = openReader(nats, { ...options, from: { seq: 50 } });
    await late.caughtUp;
    expect(gaps).toEqual([{ from: 50, to: 100 }]);
    expect(late.position()).toBe(100);
    await publisher.publish(subject, "x");
    await until("life goes on", () => seen.length === 1);
    expect(seen).toEqual([101]);
    await late.stop();
  });

  it("a killed server: reading goes on where it was", async () => {
    const { name, subject } = await stream(300);
    const seen: number[] = [];
    const reader = openReader(nats, { stream: name, from: "all", log, onMessage: (msg) => void seen.push(msg.seq) });
    await until("some were read", () => seen.length > 0);
    server.kill();
    await until("the loss was noticed", () => !nats.connected());
    await until("it is back", () => nats.connected());
    await until("messages are taken again", () =>
      publisher.publish(subject, "after").then(
        () => true,
        () => false,
      ),
    );
    for (let i = 0; i < 20; i++) await publisher.publish(subject, "after");
    await until("everything was read", () => (seen.at(-1) ?? 0) > 300);
    expect(seen).toEqual(Array.from({ length: seen.length }, (_, i) => i + 1));
    await reader.stop();
  });

  it("leaves no consumer behind when stopped", async () => {
    const { name } = await stream(5);
    const reader = openReader(nats, { stream: name, from: "all", log, onMessage: () => undefined });
    await reader.caughtUp;
    await reader.stop();
    await until("the consumer is gone", async () => {
      const { consumers } = JSON.parse(new TextDecoder().decode((await nats.core.request(`$JS.API.CONSUMER.NAMES.${name}`, "")).data)) as {
        consumers: string[] | null;
      };
      return (consumers ?? []).length === 0;
    });
  });
});
