/**
 * Live sockets by routing key and view: a frame nobody listens to costs one lookup per key in its header, a view is rendered once however
 * many sockets have it, and a flush is one coalesced write per socket. Tests: fan-out.test.ts.
 */
import type { LogEntry } from "./log-entry.ts";
import { coalesce, type Rendered, SLICE_BYTES } from "./rfc6455.ts";
import { renderShared, type Subscriber, type View } from "./subscriber.ts";

/** Sockets with the same view; frames wait here until the flush. */
interface Group {
  view: View;
  members: Set<Subscriber>;
  chunks: Buffer[];
  bytes: number;
  events: number;
}

export class ViewGroups {
  /** Routing key → share key of the view, or the socket itself when its view is its own. */
  readonly #byKey = new Map<string, Map<string | Subscriber, Group>>();
  readonly #groupOf = new Map<Subscriber, Group>();
  readonly #dirty = new Set<Group>();

  get size(): number {
    return this.#groupOf.size;
  }

  get hasPending(): boolean {
    return this.#dirty.size > 0;
  }

  subscribers(): Iterable<Subscriber> {
    return this.#groupOf.keys();
  }

  has(subscriber: Subscriber): boolean {
    return this.#groupOf.has(subscriber);
  }

  /** Flush before: what waits in a group is for those who were in it. */
  add(subscriber: Subscriber): void {
    const groups = this.#byKey.get(subscriber.routingKey) ?? new Map<string | Subscriber, Group>();
    this.#byKey.set(subscriber.routingKey, groups);
    const groupKey = subscriber.view.shareKey ?? subscriber;
    const group = groups.get(groupKey) ?? { view: subscriber.view, members: new Set(), chunks: [], bytes: 0, events: 0 };
    groups.set(groupKey, group);
    group.members.add(subscriber);
    this.#groupOf.set(subscriber, group);
  }

  remove(subscriber: Subscriber): void {
    const group = this.#groupOf.get(subscriber);
    if (!group) return;
    this.#groupOf.delete(subscriber);
    group.members.delete(subscriber);
    if (group.members.size > 0) return;
    const groups = this.#byKey.get(subscriber.routingKey);
    groups?.delete(subscriber.view.shareKey ?? subscriber);
    if (groups?.size === 0) this.#byKey.delete(subscriber.routingKey);
  }

  /** @throws when the frame is damaged; some sockets may have got a part of it. */
  route(entry: LogEntry): void {
    entry.keys.forEach((key, keyIndex) => {
      const groups = this.#byKey.get(key);
      if (!groups) return;
      for (const group of groups.values()) {
        const [first] = group.members;
        if (!first) continue;
        const rendered =
          group.view.shareKey === undefined ? first.render(entry, 0)?.rendered : renderShared(entry, keyIndex, group.view, first.lineage);
        if (rendered && rendered.events > 0) this.#enqueue(group, rendered);
      }
    });
  }

  flush(): void {
    for (const group of this.#dirty) flushGroup(group);
    this.#dirty.clear();
  }

  #enqueue(group: Group, rendered: Rendered): void {
    for (const chunk of rendered.chunks) group.chunks.push(chunk);
    group.bytes += rendered.bytes;
    group.events += rendered.events;
    this.#dirty.add(group);
    if (group.bytes < SLICE_BYTES) return;
    flushGroup(group);
    this.#dirty.delete(group);
  }
}

function flushGroup(group: Group): void {
  const rendered: Rendered = { chunks: coalesce(group.chunks), bytes: group.bytes, events: group.events };
  group.chunks = [];
  group.bytes = 0;
  group.events = 0;
  const isShared = group.view.shareKey !== undefined;
  for (const member of group.members) {
    if (isShared) member.lineage.count += rendered.events;
    member.outlet.send(rendered);
  }
}
