/** For tests of the clients that remember what auth said: their clock, their registry and auth's answers, all in the test's hand. */
import type { RegistryAggregate, RegistryRecord } from "@headwater/protocol";
import type { Clock, Logger } from "@headwater/runtime";
import { quietLogger } from "@headwater/testkit";
import type { RegistryView } from "../registry-view.ts";

export interface AuthWorldParts<Answer> {
  registry: Pick<RegistryView, "get" | "onChange">;
  clock: Clock;
  log: Logger;
  /** Answers what the test said last. */
  ask(question: string): Promise<Answer>;
}

export function authWorld<Answer, Client>(good: NoInfer<Answer>, create: (parts: AuthWorldParts<Answer>) => Client) {
  let now = Date.parse("2026-01-01T00:00:00Z");
  let monotonic = 0;
  const listeners = new Set<(record: RegistryRecord, seq: number) => void>();
  const records = new Map<string, RegistryRecord>();
  const asked: string[] = [];
  let answer: () => Promise<Answer> = async () => good;
  const client = create({
    registry: {
      get: (aggregate, id) => records.get(`${aggregate}.${id}`),
      onChange: (listener) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    },
    clock: { now: () => now, monotonicMs: () => monotonic },
    log: quietLogger(),
    ask: (question) => {
      asked.push(question);
      return answer();
    },
  });
  return {
    client,
    asked,
    listeners,
    advance: (ms: number) => {
      now += ms;
      monotonic += ms;
    },
    answers: (next: () => Promise<Answer>) => {
      answer = next;
    },
    publish: (aggregate: RegistryAggregate, id: string, data: unknown, seq = 1) => {
      const record: RegistryRecord = { v: 1, type: "x.changed", aggregate, id, at: "", data };
      // Like the real view: a deleted record is not there.
      if (data === null) records.delete(`${aggregate}.${id}`);
      else records.set(`${aggregate}.${id}`, record);
      for (const listener of listeners) listener(record, seq);
    },
  };
}
