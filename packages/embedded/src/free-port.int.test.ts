import { createServer, type Server } from "node:net";
import { afterEach, expect, it } from "vitest";
import { freePort, onFreePorts } from "./free-port.ts";

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve));
});

async function listen(port: number): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(port, "127.0.0.1", resolve));
  servers.push(server);
  return port;
}

it("takes other ports when one was taken meanwhile", async () => {
  const taken = await listen(await freePort());
  const tried: number[][] = [];
  const port = await onFreePorts(2, async (a = 0, b = 0) => {
    tried.push([a, b]);
    return await listen(tried.length === 1 ? taken : a);
  });
  expect(tried.length).toBe(2);
  expect(port).toBe(tried[1]?.[0]);
  expect(new Set(tried.flat()).size).toBe(4);
});

it("gives up after a few attempts, and at once for any other failure", async () => {
  let attempts = 0;
  const failing = (message: string) => (): Promise<never> => {
    attempts++;
    return Promise.reject(new Error(message));
  };
  await expect(onFreePorts(1, failing("bind: address already in use"))).rejects.toThrow("already in use");
  expect(attempts).toBe(4);
  await expect(onFreePorts(1, failing("no space"))).rejects.toThrow("no space");
  expect(attempts).toBe(5);
});
