/** A TCP port that is free on loopback right now. Another process may take it before you do: retry on EADDRINUSE. */
import { createServer, type AddressInfo } from "node:net";

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      // A TCP listener's address is an object; only pipes have a string.
      const { port } = probe.address() as AddressInfo;
      probe.close(() => resolve(port));
    });
  });
}

const ATTEMPTS = 4;

/** Starts something on ports that are free, and on others when somebody else takes one meanwhile. Any other failure is the caller's. */
export async function onFreePorts<T>(count: number, start: (...ports: number[]) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const ports = await Promise.all(Array.from({ length: count }, () => freePort()));
    try {
      return await start(...ports);
    } catch (error) {
      const isTaken = error instanceof Error && /EADDRINUSE|address already in use/i.test(error.message);
      if (!isTaken || attempt === ATTEMPTS) throw error;
    }
  }
}
