/** Group commit against a publisher whose acknowledgements the test gives by hand: batching, limits, retries, failures. */
import { quietLogger } from "@headwater/testkit";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { ConnectionEvent } from "./connection.ts";
import { AppendError, createGroupCommit, type GroupCommit, type GroupCommitOptions } from "./group-commit.ts";
import { type PubAck, PublishError, type PublishOptions, type Publisher } from "./publisher.ts";

interface Sent {
  subject: string;
  lines: string[];
  msgId: string;
  ack(seq: number, duplicate?: boolean): void;
  fail(error: PublishError): void;
}

/** Keeps every publish open until the test answers it. */
class HandPublisher implements Publisher {
  readonly sent: Sent[] = [];
  readonly #arrivals: (() => void)[] = [];
  isClosed = false;

  publish(subject: string, payload: string | Uint8Array, options: PublishOptions = {}): Promise<PubAck> {
    return new Promise((resolve, reject) => {
      this.sent.push({
        subject,
        lines: String(payload).split("\n"),
        msgId: options.msgId ?? "",
        ack: (seq, duplicate = false) => resolve({ stream: "S", seq, duplicate }),
        fail: reject,
      });
      for (const arrived of this.#arrivals.splice(0)) arrived();
    });
  }
  /** The n-th publish (from 0), when it comes. */
  async nth(n: number): Promise<Sent> {
    for (;;) {
      const sent = this.sent[n];
      if (sent) return sent;
      await new Promise<void>((resolve) => this.#arrivals.push(resolve));
    }
  }
  inFlight(): number {
    return this.sent.length;
  }
  close(): void {
    this.isClosed = true;
  }
}

class Connection {
  isUp = true;
  readonly #listeners = new Set<(event: ConnectionEvent) => void>();
  connected(): boolean {
    return this.isUp;
  }
  onStatus(listener: (event: ConnectionEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
  emit(event: ConnectionEvent): void {
    this.isUp = event === "reconnect";
    for (const listener of [...this.#listeners]) listener(event);
  }
  get listeners(): number {
    return this.#listeners.size;
  }
}

let publisher: HandPublisher;
let connection: Connection;
beforeEach(() => {
  publisher = new HandPublisher();
  connection = new Connection();
});

function open(options: Partial<GroupCommitOptions> = {}): GroupCommit {
  const defaults = {
    subjectOf: (lane: number) => `visits.${lane}`,
    lanes: 4,
    maxEvents: 3,
    maxBytes: 100,
    deadlineMs: 5_000,
    log: quietLogger(),
  };
  return createGroupCommit(connection, { ...defaults, ...options }, publisher);
}
const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => "stored",
    (error: unknown) => (error instanceof AppendError ? error.code : String(error)),
  );
const unknown = (): PublishError => new PublishError("timeout", "no answer");

describe("batching", () => {
  it("sends at once when idle, then everything that came meanwhile as one message", async () => {
    const commit = open();
    const first = commit.append(1, "a");
    const one = await publisher.nth(0);
    expect(one).toMatchObject({ subject: "visits.1", lines: ["a"] });
    const later = [commit.append(1, "b"), commit.append(1, "c")];
    expect(publisher.sent).toHaveLength(1);
    one.ack(10);
    await expect(first).resolves.toEqual({ seq: 10 });
    const two = await publisher.nth(1);
    expect(two.lines).toEqual(["b", "c"]);
    two.ack(11);
    expect(await Promise.all(later)).toEqual([{ seq: 11 }, { seq: 11 }]);
    expect(commit.pendingBytes()).toBe(0);
  });

  it("keeps lanes apart: one waiting lane holds back no other", async () => {
    const commit = open();
    const slow = commit.append(0, "a");
    const quick = commit.append(3, "b");
    (await publisher.nth(1)).ack(7);
    await expect(quick).resolves.toEqual({ seq: 7 });
    expect(publisher.sent.map(({ subject }) => subject)).toEqual(["visits.0", "visits.3"]);
    publisher.sent[0]?.ack(8);
    await expect(slow).resolves.toEqual({ seq: 8 });
  });

  it("cuts a message at its events and at its bytes, never splits an event", async () => {
    const commit = open({ maxEvents: 3, maxBytes: 50 });
    const all = [commit.append(0, "first")];
    const one = await publisher.nth(0);
    for (const line of ["1", "2", "3", "4", "x".repeat(45), "y".repeat(200), "z"]) all.push(commit.append(0, line));
    one.ack(1);
    const sizes: number[] = [];
    for (let n = 1; n <= 4; n++) {
      const sent = await publisher.nth(n);
      sizes.push(sent.lines.length);
      sent.ack(n + 1);
    }
    await Promise.all(all);
    // 1 2 3 | 4 x | y alone, though over the limit | z
    expect(sizes).toEqual([3, 2, 1, 1]);
    expect(publisher.sent.flatMap(({ lines }) => lines).join("").length).toBe("first1234z".length + 245);
  });

  it("keeps the events of one call adjacent and settles after the last message", async () => {
    const commit = open({ maxEvents: 2 });
    let settled = false;
    const many = commit.appendMany(0, ["a", "b", "c"]).then((result) => {
      settled = true;
      return result;
    });
    const other = commit.append(0, "d");
    (await publisher.nth(0)).ack(1);
    const second = await publisher.nth(1);
    expect([publisher.sent[0]?.lines, second.lines]).toEqual([
      ["a", "b"],
      ["c", "d"],
    ]);
    expect(settled).toBe(false);
    second.ack(2);
    await expect(many).resolves.toEqual({ seq: 2 });
    await expect(other).resolves.toEqual({ seq: 2 });
  });
});

describe("pace", () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  it("holds a message back for what the one before held, but never a whole one", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout"] });
    const commit = open({ lanes: 2, messagesPerSecond: 1_000, eventPace: { eachMs: 100_000, atMostMs: 100_000 } });
    const first = commit.append(0, "a");
    (await publisher.nth(0)).ack(1);
    await first;
    const held = commit.append(0, "b");
    const whole = commit.appendMany(1, ["1", "2", "3"]);
    const next = await publisher.nth(1);
    expect(next).toMatchObject({ subject: "visits.1", lines: ["1", "2", "3"] });
    next.ack(2);
    await whole;
    expect(publisher.sent).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(100_001);
    (await publisher.nth(2)).ack(3);
    await expect(held).resolves.toEqual({ seq: 3 });
  });
});

describe("unknown outcome", () => {
  it("sends the same bytes under the same id until it is acknowledged", async () => {
    const commit = open();
    const stored = commit.append(0, "a");
    const one = await publisher.nth(0);
    const behind = commit.append(0, "b");
    one.fail(unknown());
    const two = await publisher.nth(1);
    expect(two).toMatchObject({ lines: ["a"], msgId: one.msgId });
    two.ack(5, true);
    await expect(stored).resolves.toEqual({ seq: 5 });
    const three = await publisher.nth(2);
    expect(three.lines).toEqual(["b"]);
    expect(three.msgId).not.toBe(one.msgId);
    three.ack(6);
    await behind;
    expect(commit.stats()).toMatchObject({ retries: 1, duplicates: 1, failures: 0, batches: 2, events: 2 });
  });

  it("waits for the connection instead of trying, and goes on when it is back", async () => {
    const commit = open();
    const stored = commit.append(0, "a");
    const one = await publisher.nth(0);
    connection.isUp = false;
    one.fail(new PublishError("disconnected", "gone"));
    expect(commit.admit(1)).toBe("down");
    await Promise.resolve();
    expect(publisher.sent).toHaveLength(1);
    connection.emit("reconnect");
    (await publisher.nth(1)).ack(2);
    await expect(stored).resolves.toEqual({ seq: 2 });
    expect(connection.listeners).toBe(0);
  });

  it("gives up at the deadline, with everything that waits behind", async () => {
    const commit = open({ deadlineMs: 0 });
    const first = commit.append(0, "a");
    const one = await publisher.nth(0);
    const behind = commit.appendMany(0, ["b", "c"]);
    one.fail(unknown());
    expect(await Promise.all([codeOf(first), codeOf(behind)])).toEqual(["unavailable", "unavailable"]);
    expect(commit.pendingBytes()).toBe(0);
    // The lane is usable again.
    const next = commit.append(0, "d");
    (await publisher.nth(1)).ack(9);
    await expect(next).resolves.toEqual({ seq: 9 });
  });
});

describe("refusals", () => {
  it("a full stream is told as such, at once", async () => {
    const commit = open();
    const first = commit.append(0, "a");
    (await publisher.nth(0)).fail(new PublishError("stream_full", "maximum bytes exceeded", 10077));
    expect(await codeOf(first)).toBe("full");
    expect(publisher.sent).toHaveLength(1);
    expect(commit.stats().failures).toBe(1);
  });

  it("an error that does not pass is not tried again", async () => {
    const commit = open();
    const first = commit.append(0, "a");
    (await publisher.nth(0)).fail(new PublishError("other", "message size exceeds maximum allowed", 10054));
    expect(await codeOf(first)).toBe("unavailable");
    expect(publisher.sent).toHaveLength(1);
  });

  it("an unknown lane and nothing to append are mistakes of the caller", async () => {
    const commit = open();
    await expect(commit.append(4, "a")).rejects.toThrow(RangeError);
    await expect(commit.appendMany(0, [])).rejects.toThrow(RangeError);
  });
});

describe("bounded memory", () => {
  it("refuses what exceeds a lane's queue, without disturbing what is queued or other lanes", async () => {
    const commit = open({ maxQueueBytesPerLane: 10 });
    const first = commit.append(0, "12345");
    expect(commit.admit(5, [0])).toBe("full");
    expect(commit.admit(5, [1])).toBe("ok");
    expect(await codeOf(commit.append(0, "1234"))).toBe("backpressure");
    const other = commit.append(1, "1234");
    expect(commit.pendingBytes()).toBe(11);
    (await publisher.nth(0)).ack(1);
    (await publisher.nth(1)).ack(2);
    await Promise.all([first, other]);
    expect(commit.pendingBytes()).toBe(0);
    expect(commit.admit(5, [0])).toBe("ok");
  });

  it("refuses what exceeds the total, counted in bytes of UTF-8", async () => {
    const commit = open({ maxQueueBytes: 12 });
    const first = commit.append(0, "ü".repeat(5));
    expect(commit.pendingBytes()).toBe(11);
    expect(commit.admit(2)).toBe("full");
    expect(await codeOf(commit.append(1, "a"))).toBe("backpressure");
    (await publisher.nth(0)).ack(1);
    await first;
  });
});

it("a close sends what is queued, waits for it, then refuses", async () => {
  const commit = open();
  const first = commit.append(0, "a");
  const one = await publisher.nth(0);
  const second = commit.append(0, "b");
  const closed = commit.close();
  expect(await codeOf(commit.append(0, "c"))).toBe("unavailable");
  one.ack(1);
  (await publisher.nth(1)).ack(2);
  await closed;
  expect(await Promise.all([first, second])).toEqual([{ seq: 1 }, { seq: 2 }]);
  expect(commit.admit(1)).toBe("down");
});
