/** The expected sequence alone keeps a stale writer out, whatever it believes about its lease. */
import { expect, inject, it } from "vitest";
import { Harness } from "./fixtures/harness.ts";
import { tallyFamily } from "./fixtures/tally.ts";
import { positionFrame } from "./frame-batch.ts";
import { FrameWriter } from "./frame-writer.ts";
import type { LaneLease } from "./leases.ts";
import { DEFAULT_OPTIONS, OwnershipLost } from "./types.ts";

it("refuses the older of two writers that both believe they own the lane", async () => {
  const harness = await Harness.open(inject("databaseUrl"));
  try {
    const lease = (epoch: number): LaneLease => ({ lane: 0, epoch, isValid: () => true, isHeld: () => true });
    const writer = (epoch: number): FrameWriter =>
      new FrameWriter(harness.nats, harness.publisher, tallyFamily(), lease(epoch), DEFAULT_OPTIONS, harness.log);
    const frame = (epoch: number, seq: number) => positionFrame({ family: "signals", gen: "g1", epoch, reg: 0, regs: [] }, seq, undefined);
    const old = writer(1);
    expect(await old.takeOver(() => frame(1, 0))).toBeUndefined();
    await old.publish(frame(1, 1));
    const successor = writer(2);
    expect(await successor.takeOver((last) => frame(2, last?.header.in ?? 0))).toMatchObject({ header: { epoch: 1, in: 1 } });
    await expect(old.publish(frame(1, 2))).rejects.toBeInstanceOf(OwnershipLost);
    await successor.publish(frame(2, 2));
    // Even a new take-over attempt under the older epoch is refused.
    await expect(writer(1).takeOver((last) => frame(1, last?.header.in ?? 0))).rejects.toBeInstanceOf(OwnershipLost);
    expect((await harness.headers()).map(({ header }) => [header.epoch, header.in])).toEqual([
      [1, 0],
      [1, 1],
      [2, 1],
      [2, 2],
    ]);
  } finally {
    await harness.close();
  }
});
