/**
 * Keeps a CredentialTable and the ended sessions in step with the registry: what other instances changed arrives here. A key this instance has never seen is
 * read from the database, because its hash is not in the registry. Tests: service.int.test.ts.
 */
import { KeyRecord, type RegistryRecord, SessionRecord, SiteRecord, TenantRecord } from "@headwater/protocol";
import type { Logger } from "@headwater/runtime";
import type { CredentialTable, StoredKey } from "../domain/credential-table.ts";
import type { EndedSessions } from "../domain/ended-sessions.ts";

export interface CredentialFeedPorts {
  table: CredentialTable;
  ended: EndedSessions;
  loadKey(id: string): Promise<StoredKey | undefined>;
  log: Logger;
}

export interface CredentialFeed {
  apply(record: RegistryRecord): void;
  /** False while a key is known to exist whose hash could not be loaded yet. */
  isComplete(): boolean;
  stop(): void;
}

const RETRY_MS = 500;

export function createCredentialFeed(ports: CredentialFeedPorts): CredentialFeed {
  const missing = new Set<string>();
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;

  const fetchMissing = async (): Promise<void> => {
    timer = undefined;
    for (const id of [...missing]) {
      try {
        const key = await ports.loadKey(id);
        if (key) ports.table.putKey(key);
        missing.delete(id);
      } catch (error) {
        ports.log.warn({ err: error, keyId: id }, "auth.key_not_loaded");
        break;
      }
    }
    if (missing.size > 0) schedule(RETRY_MS);
  };
  const schedule = (delayMs: number): void => {
    if (stopped || timer) return;
    timer = setTimeout(() => void fetchMissing(), delayMs);
    timer.unref();
  };

  return {
    apply(record) {
      if (record.data === null) {
        if (record.aggregate === "tenant") ports.table.removeTenant(record.id);
        if (record.aggregate === "key") ports.table.removeKey(record.id);
        return;
      }
      if (record.aggregate === "tenant") {
        const tenant = TenantRecord.safeParse(record.data);
        if (tenant.success) return ports.table.putTenant(tenant.data);
      } else if (record.aggregate === "site") {
        const site = SiteRecord.safeParse(record.data);
        if (site.success) return ports.table.putSite(site.data);
      } else if (record.aggregate === "session") {
        const session = SessionRecord.safeParse(record.data);
        if (session.success) return ports.ended.end(session.data.id, Date.parse(session.data.revokedAt));
      } else {
        const key = KeyRecord.safeParse(record.data);
        if (key.success) {
          if (ports.table.updateKey(key.data)) return;
          missing.add(record.id);
          return schedule(0);
        }
      }
      // A newer version's record: what is known stays as it is.
      ports.log.error({ aggregate: record.aggregate, id: record.id, type: record.type }, "auth.record_not_understood");
    },
    isComplete: () => missing.size === 0,
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
