/**
 * Consent decisions and opt-outs as durable facts: appended to CONSENTS and to the visitor's own lane, and read back into the index, so
 * that every instance knows what any instance was told. Tests: faults.int.test.ts, privacy.int.test.ts.
 */
import { type ConsentRecord, laneOf, type VisitPrivacyCommand, visitorKey } from "@headwater/protocol";
import type { GroupCommit } from "@headwater/messaging";
import type { Clock } from "@headwater/runtime";
import type { ConsentChange } from "../domain/batch.ts";
import { IntakeRefused, type Privacy, type VisitLog } from "../ports.ts";
import type { PrivacyIndex } from "./privacy-index.ts";
import { intakeRefusal } from "./visit-log.ts";

export interface PrivacyStoreOptions {
  index: PrivacyIndex;
  /** Lanes of `consents.<lane>`. */
  consents: GroupCommit;
  visits: VisitLog;
  clock: Clock;
  newId(): string;
  /** How long an opt-out may take to reach the fold and come back. */
  erasureTimeoutMs: number;
}

export function createPrivacyStore(options: PrivacyStoreOptions): Privacy {
  const { index } = options;
  return {
    isOptedOut: (tenantId, visitorId) => index.isOptedOut(tenantId, visitorId),
    consentOf: (tenantId, visitorId) => index.consentOf(tenantId, visitorId),
    async recordConsents(tenantId, changes) {
      const records = changes.map((change) => ({
        lane: laneOf(visitorKey(tenantId, change.visitorId)),
        record: consentRecord(index.keyOf(tenantId, change.visitorId), tenantId, change),
        change,
      }));
      if (!records.every(({ record, change }) => index.hasRoomFor(record.key, change.state))) throw new IntakeRefused("overloaded");
      await Promise.all(
        records.map(async ({ lane, record }) => {
          const { seq } = await options.consents.append(lane, JSON.stringify(record));
          index.applyConsent(record, seq);
        }),
      ).catch((error: unknown) => {
        throw intakeRefusal(error);
      });
    },
    async setOptOut(tenantId, visitorId, kind) {
      const key = index.keyOf(tenantId, visitorId);
      const ts = options.clock.now();
      const command: VisitPrivacyCommand = { v: 1, kind, tenantId, visitorId, id: options.newId(), ts };
      const erasure = index.hasRoomForErasure(key) ? index.waitForErasure(key, ts) : undefined;
      if (!erasure) throw new IntakeRefused("overloaded");
      const { promise: timedOut, reject } = Promise.withResolvers<never>();
      const timer = setTimeout(() => reject(new IntakeRefused("overloaded")), options.erasureTimeoutMs);
      try {
        await Promise.race([
          options.visits.append([{ tenantId, visitorId, line: JSON.stringify(command) }]).then(() => erasure.arrived),
          timedOut,
        ]);
      } finally {
        clearTimeout(timer);
        erasure.forget();
      }
    },
  };
}

function consentRecord(key: string, tenantId: string, change: ConsentChange): ConsentRecord {
  return {
    v: 1,
    key,
    tenantId,
    siteId: change.siteId,
    ts: change.ts,
    source: change.source,
    ...change.state,
    ...(change.previous === undefined ? {} : { previous: change.previous }),
    ...(change.method === undefined ? {} : { method: change.method }),
    ...(change.version === undefined ? {} : { version: change.version }),
    ...(change.gpc === undefined ? {} : { gpc: change.gpc }),
  };
}
