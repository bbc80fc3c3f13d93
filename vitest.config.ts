/**
 * Test projects by what they need (docs/testing.md): `unit` nothing, `integration` NATS and PostgreSQL, `e2e` and `fault` the whole system,
 * `model` reference models. Two cores are the reference machine, so at most two files run at once (three that mostly wait), and those that
 * measure recovery one by one.
 */
import { defineConfig } from "vitest/config";

const globalSetup = ["packages/testkit/src/global-setup.ts"];
// For the processes of a run: an Ollama that happens to run on this machine is not part of a test.
process.env["OLLAMA_DISCOVERY_URL"] = "off";

export default defineConfig({
  test: {
    reporters: ["default"],
    maxWorkers: 2,
    projects: [
      {
        test: {
          name: "unit",
          include: ["packages/*/src/**/*.test.ts", "services/*/src/**/*.test.ts", "infra/**/*.test.ts", "test/**/*.unit.test.ts"],
          exclude: ["**/*.int.test.ts", "**/node_modules/**"],
          // Node loads the files itself and a worker loads a module once: starting 190 files cost as much as running them.
          isolate: false,
          experimental: { viteModuleRunner: false, nodeLoader: false },
          // Property tests take seconds of processor time, and the machine may be busy.
          testTimeout: 30_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: "integration",
          include: ["packages/*/src/**/*.int.test.ts", "services/*/src/**/*.int.test.ts", "infra/**/*.int.test.ts"],
          exclude: ["**/node_modules/**"],
          globalSetup,
          // A worker loads the services once: reading them cost as much as all the tests.
          isolate: false,
          testTimeout: 30_000,
          hookTimeout: 60_000,
          // They wait for leases and timers more than they compute.
          maxWorkers: 3,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: "model",
          include: ["test/model/**/*.test.ts"],
          globalSetup,
          testTimeout: 120_000,
          hookTimeout: 60_000,
          maxWorkers: 2,
          sequence: { groupOrder: 2 },
        },
      },
      {
        test: {
          name: "e2e",
          include: ["test/e2e/**/*.test.ts"],
          isolate: false,
          testTimeout: 60_000,
          hookTimeout: 180_000,
          // Two systems at once: they wait for ticks, leases and each other's processes more than they compute.
          maxWorkers: 2,
          sequence: { groupOrder: 2 },
        },
      },
      {
        test: {
          name: "fault",
          include: ["test/fault/**/*.test.ts"],
          exclude: ["test/fault/**/*.unit.test.ts"],
          testTimeout: 600_000,
          hookTimeout: 180_000,
          fileParallelism: false,
          sequence: { groupOrder: 3 },
        },
      },
    ],
  },
});
