/**
 * How long a starting intelligence takes to read its contexts out of the log: `node services/intelligence/src/testing/rebuild-time.ts [messages]`.
 * Messages of about 300 bytes, 100 a frame, 160 feeds with 25 topics each, over all lanes. Numbers are in docs/llm.md.
 */
import { createLogger } from "@headwater/runtime";
import { startPostgres } from "@headwater/testkit";
import { feedRecord } from "./feed-record.ts";
import { IntelligenceFixture, type Message } from "./intelligence-fixture.ts";

const PER_FRAME = 100;
const FEEDS = 160;
const TOPICS = 25;
const AT_ONCE = 64;

const messages = Number(process.argv[2] ?? 400_000);
const log = createLogger({ service: "rebuild-time", level: "info" });
const postgres = await startPostgres();
const fixture = await IntelligenceFixture.open(postgres.url);
const ids = Array.from({ length: FEEDS }, (_, i) => `65f789abc1230a1b2c${i.toString(16).padStart(6, "0")}`);
for (const id of ids) await fixture.feed(feedRecord(id));
const filler = "x".repeat(120);
let open: Promise<number>[] = [];
for (let frame = 0; frame < messages / PER_FRAME; frame++) {
  const feedId = ids[frame % FEEDS] ?? "";
  const batch = Array.from({ length: PER_FRAME }, (_, i): Message => {
    const n = frame * PER_FRAME + i;
    return { feedId, topic: `TOPIC-${n % TOPICS}`, json: `{"price":"${n}.25","seq":${n},"note":"${filler}"}` };
  });
  open.push(fixture.put(...batch));
  if (open.length < AT_ONCE) continue;
  await Promise.all(open);
  open = [];
}
await Promise.all(open);
const begun = performance.now();
const instance = await fixture.start();
const ms = Math.round(performance.now() - begun);
log.info({ messages, ms, perSecond: Math.round(messages / (ms / 1_000)), ...(instance.service.status()["contexts"] as object) }, "rebuilt");
await fixture.close();
await postgres.stop();
