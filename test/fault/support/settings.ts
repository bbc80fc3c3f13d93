/**
 * How much a fault run does. `npm test` is short; `npm run fault` with the variables set is as long as one likes:
 * FAULT_KILLS (kills per kind, default 2), FAULT_RATE (events per second, default 2,000), FAULT_SEED (printed by every run).
 */
import { seededRandom } from "./random.ts";

export interface FaultSettings {
  kills: number;
  rate: number;
  seed: number;
  random: () => number;
}

export function faultSettings(env: NodeJS.ProcessEnv): FaultSettings {
  const seed = Number(env["FAULT_SEED"] ?? Date.now() % 1_000_000);
  return { kills: Number(env["FAULT_KILLS"] ?? 2), rate: Number(env["FAULT_RATE"] ?? 2_000), seed, random: seededRandom(seed) };
}
