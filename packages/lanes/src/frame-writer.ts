/**
 * The output side of one lane: finds the last frame, takes the lane over, publishes frames one at a time with the expected
 * sequence, and finds out what happened when an acknowledgement does not come. Tests: lanes.int.test.ts.
 */
import { lastMessage, type Nats, PublishError, type Publisher } from "@headwater/messaging";
import { decodeFrameHeader, type FrameHeader, subjects } from "@headwater/protocol";
import type { Logger } from "@headwater/runtime";
import type { BuiltFrame } from "./frame-batch.ts";
import type { LaneLease } from "./leases.ts";
import { type CrashPoint, type LaneFamily, type LaneOptions, OwnershipLost } from "./types.ts";

export interface LastFrame {
  seq: number;
  header: FrameHeader;
}

type Naming = Pick<LaneFamily<never, never, never>, "family" | "gen" | "output" | "outputStream">;

export class FrameWriter {
  readonly #nats: Nats;
  readonly #publisher: Publisher;
  readonly #naming: Naming;
  readonly #lease: LaneLease;
  readonly #options: LaneOptions;
  readonly #log: Logger;
  #expected = 0;
  #isStopped = false;
  frames = 0;

  constructor(nats: Nats, publisher: Publisher, naming: Naming, lease: LaneLease, options: LaneOptions, log: Logger) {
    this.#nats = nats;
    this.#publisher = publisher;
    this.#naming = naming;
    this.#lease = lease;
    this.#options = options;
    this.#log = log;
  }

  get #subject(): string {
    return subjects.lane(this.#naming.output, this.#lease.lane);
  }

  /** Ends waits for a broker or a lease. */
  stop(): void {
    this.#isStopped = true;
  }

  async lastFrame(): Promise<LastFrame | undefined> {
    const message = await lastMessage(this.#nats, this.#naming.outputStream, this.#subject);
    if (!message) return undefined;
    const decoded = decodeFrameHeader(message.data);
    if (!decoded.ok) throw new Error(`${this.#subject} #${message.seq} is not a frame: ${decoded.reason}`);
    if (decoded.header.gen !== this.#naming.gen)
      throw new Error(`${this.#subject} is of generation ${decoded.header.gen}, not ${this.#naming.gen}`);
    return { seq: message.seq, header: decoded.header };
  }

  /**
   * Writes the first frame of our epoch behind the last one there is. From its acknowledgement on an older owner is refused
   * and `frame` is final. @throws OwnershipLost when a later owner is there already
   */
  async takeOver(frameAfter: (last: LastFrame | undefined) => BuiltFrame): Promise<LastFrame | undefined> {
    for (let attempt = 0; attempt < 10; attempt++) {
      const last = await this.lastFrame();
      if (last && last.header.epoch > this.#lease.epoch) throw new OwnershipLost(`epoch ${last.header.epoch} writes this lane`);
      this.#expected = last?.seq ?? 0;
      try {
        await this.#publishOne(frameAfter(last), []);
        return last;
      } catch (error) {
        // The old owner got one more frame in between our look and our write.
        if (!(error instanceof OwnershipLost) || !this.#lease.isHeld()) throw error;
      }
    }
    throw new OwnershipLost("another owner keeps writing this lane");
  }

  /** Resolves when the frame is stored. @throws OwnershipLost */
  async publish(frame: BuiltFrame): Promise<void> {
    await this.#publishOne(frame, ["before_publish", "after_publish_before_ack"]);
    this.frames++;
  }

  async #publishOne(frame: BuiltFrame, points: readonly CrashPoint[]): Promise<void> {
    const { lane, epoch } = this.#lease;
    const msgId = `${this.#naming.family}.${this.#naming.gen}.${lane}.${epoch}.${frame.in}.${frame.at ?? ""}.${this.#expected}`;
    if (points.includes("before_publish")) await this.#options.onCrashPoint?.("before_publish", { lane });
    for (let attempt = 0; ; attempt++) {
      await this.#untilMayPublish();
      try {
        const acked = this.#publisher.publish(this.#subject, frame.text, {
          msgId,
          expectLastSubjectSeq: this.#expected,
          expectStream: this.#naming.outputStream,
          timeoutMs: this.#options.publishTimeoutMs,
        });
        if (points.includes("after_publish_before_ack") && this.#options.onCrashPoint) {
          await Promise.all([acked, this.#nats.flush().then(() => this.#options.onCrashPoint?.("after_publish_before_ack", { lane }))]);
        }
        this.#expected = (await acked).seq;
        return;
      } catch (error) {
        if (!(error instanceof PublishError)) throw error;
        if (error.code === "wrong_last_sequence" && attempt === 0) throw new OwnershipLost("a frame of another owner is stored");
        if (!error.retryable && error.code !== "wrong_last_sequence") throw error;
        // Unknown outcome: the stream knows.
        const stored = await this.#outcome(frame);
        if (stored === "stored") return;
        this.#log.warn({ lane, code: error.code, attempt }, "lanes.publish_retried");
      }
    }
  }

  async #outcome(frame: BuiltFrame): Promise<"stored" | "absent"> {
    for (;;) {
      await this.#untilMayPublish();
      let last: LastFrame | undefined;
      try {
        last = await this.lastFrame();
      } catch (error) {
        this.#log.warn({ err: error, lane: this.#lease.lane }, "lanes.last_frame_unreadable");
        await pause(100);
        continue;
      }
      if ((last?.seq ?? 0) === this.#expected) return "absent";
      const isOurs = last?.header.epoch === this.#lease.epoch && last.header.in === frame.in && last.header.at === frame.at;
      if (!isOurs || !last) throw new OwnershipLost("a frame of another owner is stored");
      this.#expected = last.seq;
      return "stored";
    }
  }

  /** Waits for the broker and for a confirmed lease; both may come back, a lost lease does not. */
  async #untilMayPublish(): Promise<void> {
    while (!this.#nats.connected() || !this.#lease.isValid()) {
      if (!this.#lease.isHeld()) throw new OwnershipLost("the lease is gone");
      if (this.#isStopped || this.#nats.closed) throw new OwnershipLost("stopped while waiting for the broker");
      await pause(20);
    }
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
