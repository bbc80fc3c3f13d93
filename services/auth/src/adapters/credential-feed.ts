/**
 * Keeps a CredentialTable in step with the registry: what other instances changed arrives here. A key this instance has never seen is
 * read from the database, because its hash is not in the registry. Tests: service.int.test.ts.
 */
import { KeyRecord, type RegistryRecord, SiteRecord, TenantRecord } from "@headwater/protocol";
import type { Logger } from "@headwater/runtime";
import type { CredentialTable, StoredKey } from "../domain/credential-table.ts";

export interface CredentialFeedPorts {
  table: CredentialTable;
  loadKey(id: string): Promise<StoredKey | undefined>;
  log: Logger;
}

const RETRY_MS = 500;

export function createCredentialFeed(ports: CredentialFeedPorts): { apply(record: RegistryRecord): void; stop(): void } {
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
      if (record.aggregate === "tenant") {
        if (record.data === null) ports.table.removeTenant(record.id);
        else ports.table.putTenant(TenantRecord.parse(record.data));
      } else if (record.aggregate === "site" && record.data !== null) {
        ports.table.putSite(SiteRecord.parse(record.data));
      } else if (record.aggregate === "key") {
        if (record.data === null) return ports.table.removeKey(record.id);
        const key = KeyRecord.parse(record.data);
        if (ports.table.updateKey(key) || key.revokedAt !== null) return;
        missing.add(record.id);
        schedule(0);
      }
    },
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
