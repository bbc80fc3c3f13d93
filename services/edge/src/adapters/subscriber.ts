/**
 * One socket's interest in a stream: routing key, view, and how far it has got. While `replaying` it is a cursor that resume.ts moves;
 * while `live` the hub writes to it. Position and count move together, so a cursor made at any time continues exactly there.
 */
import type { StreamPosition } from "../domain/position.ts";
import type { LogEntry } from "./log-entry.ts";
import type { Rendered } from "./rfc6455.ts";

/** What a socket sees of the stream. */
export interface View {
  /** Views with the same key produce the same bytes, so they are rendered once. undefined: the output depends on the socket. */
  readonly shareKey: string | undefined;
  render(entry: LogEntry, keyIndex: number, options: RenderOptions): Rendered;
}

export interface RenderOptions {
  /** First output of the frame to look at. */
  from: number;
  /** Events received before this time are left out (`since`), ms epoch. */
  notBeforeMs?: number | undefined;
  /** Only for views without a share key. Moves as events are rendered. */
  lineage: Lineage;
}

/** The numbering of what one client has received, across reconnects. */
export interface Lineage {
  count: number;
  cursorAt(position: StreamPosition, count: number): string;
}

/** Where rendered frames go; WsConnection is one. */
export interface Outlet {
  readonly bufferedBytes: number;
  readonly isOpen: boolean;
  send(rendered: Rendered): void;
  /** Calls `run` once, as soon as less than `belowBytes` are buffered; replaces an earlier wish of the same owner. */
  whenRoom(owner: object, belowBytes: number, run: () => void): void;
}

export interface SubscriberHooks {
  /** Events between the two positions are gone. Called before anything after the gap is sent. */
  onGap(from: StreamPosition, to: StreamPosition): void;
  /** Replay has caught up. */
  onLive(): void;
}

export type SubscriberState = "replaying" | "live" | "gone";

export class Subscriber {
  readonly routingKey: string;
  readonly outlet: Outlet;
  readonly hooks: SubscriberHooks;
  readonly lineage: Lineage;
  state: SubscriberState = "replaying";
  view: View;
  /** Meaningful while replaying; a live one is where the hub is. */
  position: StreamPosition;
  notBeforeMs: number | undefined;

  constructor(init: {
    routingKey: string;
    view: View;
    outlet: Outlet;
    hooks: SubscriberHooks;
    lineage: Lineage;
    position: StreamPosition;
    notBeforeMs?: number | undefined;
  }) {
    this.routingKey = init.routingKey;
    this.view = init.view;
    this.outlet = init.outlet;
    this.hooks = init.hooks;
    this.lineage = init.lineage;
    this.position = init.position;
    this.notBeforeMs = init.notBeforeMs;
  }

  /** Bytes of this entry for this socket. A shared form does not touch the lineage: count its events when they are sent. */
  render(entry: LogEntry, from: number): { rendered: Rendered; isShared: boolean } | undefined {
    const keyIndex = entry.keys.indexOf(this.routingKey);
    if (keyIndex === -1) return undefined;
    const { view, lineage } = this;
    // Most frames are altogether newer, and those can be shared.
    const notBeforeMs = this.notBeforeMs !== undefined && entry.oldestEventMs < this.notBeforeMs ? this.notBeforeMs : undefined;
    if (view.shareKey !== undefined && from === 0 && notBeforeMs === undefined) {
      return { rendered: renderShared(entry, keyIndex, view, lineage), isShared: true };
    }
    const before = lineage.count;
    const rendered = view.render(entry, keyIndex, { from, notBeforeMs, lineage });
    // A view that numbers its events has counted them itself.
    if (lineage.count === before) lineage.count += rendered.events;
    return { rendered, isShared: false };
  }
}

export function renderShared(entry: LogEntry, keyIndex: number, view: View, lineage: Lineage): Rendered {
  return entry.variant(`${keyIndex}|${view.shareKey}`, () => view.render(entry, keyIndex, { from: 0, lineage }));
}
