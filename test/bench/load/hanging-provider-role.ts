/** A model provider as a process of its own that takes questions and does not answer them until it is told to. Loopback only. */
import { type LlmServer, startLlmServer } from "@headwater/testkit";
import { serveRole } from "../../support/role.ts";

export interface ProviderState {
  /** Since `hang`. */
  calls: number;
  /** Being kept waiting now. */
  open: number;
}

let server: LlmServer | undefined;
let release: () => void = () => undefined;
let callsBefore = 0;

function running(): LlmServer {
  if (server === undefined) throw new Error("nobody listens yet");
  return server;
}

serveRole({
  listen: async (): Promise<number> => {
    server = await startLlmServer();
    return server.port;
  },
  hang: (): void => {
    const { promise, resolve } = Promise.withResolvers<void>();
    release = resolve;
    callsBefore = running().calls().length;
    running().behave({ kind: "hang", until: promise });
  },
  /** Answers all that wait, and at once from now on. */
  release: (): void => {
    running().behave({ kind: "answer" });
    release();
  },
  state: (): ProviderState => ({ calls: running().calls().length - callsBefore, open: running().open() }),
});
