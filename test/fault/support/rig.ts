/**
 * A fault run on a running system: generator and subscribers in processes of their own, ledger and record files, and the verdict at the
 * end. One rig per scenario; the system may be shared by scenarios that leave it whole.
 */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { nowUs } from "../../support/monotonic.ts";
import type { Product } from "../../support/product.ts";
import { type Role, startRole } from "../../support/role.ts";
import { type Facts, judge, readFacts, type Verdict } from "./checker.ts";
import type { GeneratorOptions, GeneratorState } from "./generator-role.ts";
import type { SinkOptions, SinkState } from "./sink-role.ts";

export interface RigOptions {
  run: string;
  key: string;
  clients: number;
  /** Events per second. */
  rate: number;
  visitors?: number;
  connections?: number;
  eventsPerRequest?: number;
  /** Where subscribers connect; default: the public port. */
  feedPort?: number;
  /** More of `include=`, to make frames bigger. */
  include?: string;
}

export interface Rig {
  generator: Role;
  sink: Role;
  /** Lets the load run; a phase, not a wait for an effect. */
  load(ms: number): Promise<void>;
  /** Until every subscriber has an event that was first sent after this call. @returns ms it took. */
  flowing(withinMs: number): Promise<number>;
  /** Sends a second run through every lane and waits for it: then everything sent before has been folded. */
  markers(run: string): Promise<void>;
  state(): Promise<{ generator: GeneratorState; sink: SinkState }>;
  /** Stops the load, waits for the rest, closes the subscribers, judges. */
  finish(): Promise<{ verdict: Verdict; facts: Facts; generator: GeneratorState; sink: SinkState }>;
  /** Ends the processes; for `finally`. */
  stop(): Promise<void>;
}

export async function startRig(product: Product, options: RigOptions): Promise<Rig> {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "headwater-fault-"));
  const ledger = path.join(dir, "ledger.txt");
  const record = path.join(dir, "record.txt");
  const [generator, sink] = await Promise.all([
    startRole("generator", new URL("./generator-role.ts", import.meta.url)),
    startRole("sink", new URL("./sink-role.ts", import.meta.url)),
  ]);
  const at = { host: product.host, port: product.port, key: options.key };
  const sending: GeneratorOptions = {
    ...at,
    run: options.run,
    visitors: options.visitors ?? 400,
    connections: options.connections ?? 20,
    eventsPerRequest: options.eventsPerRequest ?? 5,
    rate: options.rate,
    ledger,
  };
  const stop = async (): Promise<void> => {
    await Promise.all([generator.stop(), sink.stop()]);
    fs.rmSync(dir, { recursive: true, force: true });
  };
  try {
    await sink.ask("start", {
      ...at,
      port: options.feedPort ?? at.port,
      include: options.include ?? "",
      clients: options.clients,
      record,
    } satisfies SinkOptions);
    await generator.ask("start", sending);
  } catch (error) {
    await stop();
    throw error;
  }
  let ackedBefore = 0;
  const expectAll = async (state: GeneratorState): Promise<void> => {
    await sink.ask("caughtUp", { events: ackedBefore + state.acked, quietMs: 20_000 });
  };
  return {
    generator,
    sink,
    load: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    flowing: async (withinMs) => {
      const from = nowUs();
      const { sent } = await generator.ask<GeneratorState>("state");
      await sink.ask("reached", { n: sent, withinMs });
      return (nowUs() - from) / 1000;
    },
    markers: async (run) => {
      const before = await generator.ask<GeneratorState>("stop");
      ackedBefore += before.acked;
      await generator.ask("start", { ...sending, run });
      // Every visitor once, so every lane gets some.
      await until(async () => (await generator.ask<GeneratorState>("state")).acked >= sending.visitors);
      await expectAll(await generator.ask<GeneratorState>("stop"));
    },
    state: async () => ({ generator: await generator.ask<GeneratorState>("state"), sink: await sink.ask<SinkState>("state") }),
    finish: async () => {
      const sent = await generator.ask<GeneratorState>("stop");
      await expectAll(sent);
      const seen = await sink.ask<SinkState>("state");
      await sink.ask("stop");
      const facts = readFacts(fs.readFileSync(ledger, "utf8"), fs.readFileSync(record, "utf8"));
      return { verdict: judge(facts, options.clients), facts, generator: sent, sink: seen };
    },
    stop,
  };
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 20));
}
