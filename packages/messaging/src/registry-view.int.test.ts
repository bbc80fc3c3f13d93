/** The registry view over a real stream: the past on opening, live after, poison skipped, positions complete over a killed server. */
import { type RegistryRecord, streamSpecs, subjects } from "@headwater/protocol";
import { collectingLogger, quietLogger, startNats, until } from "@headwater/testkit";
import { expect, it } from "vitest";
import { openNats } from "./connection.ts";
import { createPublisher } from "./publisher.ts";
import { openRegistry } from "./registry-view.ts";
import { ensureStreams } from "./streams.ts";

it("holds everything up to its position, whatever is in the stream and whatever happens to the server", async () => {
  const server = await startNats();
  const { log, lines } = collectingLogger();
  const nats = await openNats({ url: server.url, name: "test", log: quietLogger() });
  const publisher = createPublisher(nats);
  await ensureStreams(
    nats,
    streamSpecs("laptop").filter(({ name }) => name === "REGISTRY"),
    { replicas: 1 },
  );
  const put = async (id: string, n: number): Promise<number> => {
    const record: RegistryRecord = { v: 1, type: "site.changed", aggregate: "site", id, at: "2026-01-01T00:00:00.000Z", data: { n } };
    return (await publisher.publish(subjects.registry("site", id), JSON.stringify(record), { msgId: `${id}-${n}` })).seq;
  };
  await put("a", 1);
  await publisher.publish(subjects.registry("site", "a"), "not json");
  await publisher.publish(subjects.registry("site", "other"), JSON.stringify({ v: 1, aggregate: "site", id: "not-other" }));
  const past = await put("a", 2);

  const view = await openRegistry(nats, { log });
  expect([view.position(), view.get("site", "a")?.data, view.getAt("site", "a", 1)?.data]).toEqual([past, { n: 2 }, { n: 1 }]);
  expect(
    lines()
      .filter(({ msg }) => msg === "registry.record_skipped")
      .map(({ streamSeq }) => streamSeq),
  ).toEqual([2, 3]);

  await view.waitFor(await put("a", 3));
  expect(view.get("site", "a")?.data).toEqual({ n: 3 });

  server.kill();
  await until("down", () => !nats.connected());
  let last = 0;
  await until("written again", () =>
    put("a", 4).then(
      (seq) => (last = seq) > 0,
      () => false,
    ),
  );
  await view.waitFor(last, 20_000);
  expect(view.get("site", "a")?.data).toEqual({ n: 4 });
  expect(view.list("site")).toHaveLength(1);

  const session: RegistryRecord = {
    v: 1,
    type: "session.revoked",
    aggregate: "session",
    id: "s",
    at: "2026-01-01T00:00:00.000Z",
    data: {},
  };
  await view.waitFor(
    (await publisher.publish(subjects.registry("session", "s"), JSON.stringify(session), { headers: { "Nats-TTL": "1s" } })).seq,
  );
  expect(view.get("session", "s")).toBeDefined();
  await until("the stream's clock is past its end", async () => {
    await view.waitFor(await put("a", performance.now()));
    return view.get("session", "s") === undefined;
  });

  await view.stop();
  publisher.close();
  await nats.drain();
  await server.stop();
});
