import { RpcError } from "@headwater/messaging";
import type { KeyRecord, SiteRecord, TenantRecord } from "@headwater/protocol";
import { describe, expect, it } from "vitest";
import { CredentialTable } from "../domain/credential-table.ts";
import { digestOf, lookupOf } from "./secrets.ts";
import { createVerifier, type VerifierPorts } from "./verifier.ts";

const at = "2026-01-01T00:00:00.000Z";
const pepper = "p".repeat(32);
const digest = digestOf("cs_live_x");
const tenant: TenantRecord = { id: "ten_1", slug: "acme", name: "Acme", plan: "scale", createdAt: at };
const record: KeyRecord = {
  id: "key_1", tenantId: "ten_1", name: "k", type: "server", hint: "h", scopes: [], domains: [], createdAt: at, expiresAt: null, revokedAt: null,
}; // biome-ignore format: one literal
const row = { key: { lookup: lookupOf(pepper, digest), record }, tenant, sites: [] as SiteRecord[] };

function world(ports: Partial<VerifierPorts> = {}) {
  const table = new CredentialTable();
  const asked: string[] = [];
  const verify = createVerifier({
    table,
    pepper,
    loadByLookup: async (lookup) => {
      asked.push(lookup);
      return lookup === row.key.lookup ? row : undefined;
    },
    isComplete: () => true,
    now: () => Date.parse(at),
    position: () => 5,
    onAnswer: () => undefined,
    ...ports,
  });
  return { table, asked, verify };
}
const down = () => Promise.reject(new Error("connection refused"));

describe("a key this instance has not heard of", () => {
  it("is found in the database, with its tenant, once", async () => {
    const w = world();
    expect(await w.verify({ digest })).toMatchObject({ ok: true, credential: { keyId: "key_1", tenantSlug: "acme", reg: 5 } });
    await w.verify({ digest });
    expect(w.asked.length).toBe(1);
  });
  it("does not overwrite what the registry told meanwhile", async () => {
    const w = world();
    w.table.putTenant({ ...tenant, plan: "network" });
    expect(await w.verify({ digest })).toMatchObject({ ok: true, credential: { plan: "network" } });
  });
  it("is not brought back by a row read before its revocation", async () => {
    const w = world({
      loadByLookup: async () => {
        w.table.updateKey({ ...record, revokedAt: at });
        return row;
      },
    });
    expect(await w.verify({ digest })).toEqual({ ok: false, code: "invalid" });
  });
  it("is invalid while the database is away and nothing is missing here", async () => {
    expect(await world({ loadByLookup: down }).verify({ digest })).toEqual({ ok: false, code: "invalid" });
  });
  it("is unavailable while the database is away and keys are missing here", async () => {
    const w = world({ loadByLookup: down, isComplete: () => false });
    await expect(w.verify({ digest })).rejects.toMatchObject({ code: "unavailable", status: 503 });
  });
});

describe("many at once", () => {
  /** A database that answers when told to. */
  function slow() {
    const questions: { lookup: string; answer: () => void }[] = [];
    let most = 0;
    let open = 0;
    const loadByLookup = async (lookup: string) => {
      most = Math.max(most, ++open);
      const gate = Promise.withResolvers<void>();
      questions.push({ lookup, answer: gate.resolve });
      await gate.promise;
      open--;
      return lookup === row.key.lookup ? row : undefined;
    };
    const answerAll = async (): Promise<void> => {
      for (let at = 0; at < questions.length; at++) {
        questions[at]?.answer();
        await new Promise<void>((resolve) => setImmediate(resolve));
      }
    };
    return { loadByLookup, questions, answerAll, most: () => most };
  }

  it("a new key is asked for once, and everybody who uses it waits for that", async () => {
    const database = slow();
    const w = world({ loadByLookup: database.loadByLookup });
    const answers = Array.from({ length: 10 }, () => w.verify({ digest }));
    await database.answerAll();
    for (const answer of await Promise.all(answers)) expect(answer).toMatchObject({ ok: true, credential: { keyId: "key_1" } });
    expect(database.questions.length).toBe(1);
  });

  it("guesses are asked for two at a time, and a new key behind them is found", async () => {
    const database = slow();
    const w = world({ loadByLookup: database.loadByLookup });
    const guesses = Array.from({ length: 10 }, (_, i) => w.verify({ digest: digestOf(`guess ${i}`) }));
    const made = w.verify({ digest });
    await database.answerAll();
    expect(await Promise.all(guesses)).toEqual(Array.from({ length: 10 }, () => ({ ok: false, code: "invalid" })));
    expect(await made).toMatchObject({ ok: true });
    expect(database.questions.length).toBe(11);
    expect(database.most()).toBe(2);
  });

  it("a key that the registry tells while it waits costs no query", async () => {
    const database = slow();
    const w = world({ loadByLookup: database.loadByLookup });
    const guesses = Array.from({ length: 2 }, (_, i) => w.verify({ digest: digestOf(`guess ${i}`) }));
    const made = w.verify({ digest });
    w.table.putTenant(tenant);
    w.table.putKey(row.key);
    await database.answerAll();
    expect(await made).toMatchObject({ ok: true });
    await Promise.all(guesses);
    expect(database.questions.length).toBe(2);
  });

  it("a flood of guesses waits in bounded memory, and afterwards keys are found again", async () => {
    const database = slow();
    const w = world({ loadByLookup: database.loadByLookup });
    const guesses = Array.from({ length: 1_000 }, (_, i) => w.verify({ digest: digestOf(`guess ${i}`) }));
    await database.answerAll();
    expect(await Promise.all(guesses)).toEqual(Array.from({ length: 1_000 }, () => ({ ok: false, code: "invalid" })));
    expect(database.questions.length).toBe(2 + 256);
    const made = w.verify({ digest });
    await database.answerAll();
    expect(await made).toMatchObject({ ok: true });
  });

  it("a database that fails holds nobody's place", async () => {
    const w = world({ loadByLookup: down });
    const answers = Array.from({ length: 20 }, (_, i) => w.verify({ digest: digestOf(`guess ${i}`) }));
    expect(await Promise.all(answers)).toEqual(Array.from({ length: 20 }, () => ({ ok: false, code: "invalid" })));
    expect(await w.verify({ digest })).toEqual({ ok: false, code: "invalid" });
  });
});

it.each([[undefined], [{}], [{ digest: "x" }], [{ digest: "A".repeat(64) }]])("refuses %j", async (payload) => {
  await expect(world().verify(payload)).rejects.toBeInstanceOf(RpcError);
});
