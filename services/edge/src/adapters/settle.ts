/** `settled()` of the edge: everything that is in the stream now has been written to the sockets' queues. Tests: delivery.int.test.ts. */
import type { RegistryView } from "@headwater/messaging";
import type { StreamLog } from "../ports.ts";
import type { StreamHub } from "./hub.ts";

/** Resolves at once when nobody listens. @throws after `withinMs`. */
export async function settleHub(hub: StreamHub, source: StreamLog, registry: RegistryView, withinMs: number): Promise<void> {
  await registry.waitFor(registry.position(), withinMs);
  if (!hub.isReading) return;
  const { lastSeq } = await source.extent({ fresh: true });
  const reached = (): boolean => !hub.isReading || hub.position >= lastSeq;
  if (!reached()) {
    const done = Promise.withResolvers<void>();
    const stopListening = hub.onAdvance(() => reached() && done.resolve());
    const overdue = setTimeout(
      () => done.reject(new Error(`edge is at ${hub.position}, ${lastSeq} did not arrive in ${withinMs} ms`)),
      withinMs,
    );
    try {
      await done.promise;
    } finally {
      clearTimeout(overdue);
      stopListening();
    }
  }
  hub.flush();
}
