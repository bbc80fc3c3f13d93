/** The running system behind the public port, however its services are spread over processes. */
import type { SystemHealth } from "@headwater/runtime";

export interface RunningSystem {
  /** Public URL without trailing slash. */
  url: string;
  port: number;
  /** Admin listeners by instance id. */
  adminPorts: Record<string, number>;
  health(): Promise<SystemHealth>;
  /** Resolves when everything accepted so far left the pipeline. Only the single process can tell. */
  settled?(options?: { withinMs?: number }): Promise<void>;
  stop(): Promise<void>;
}
