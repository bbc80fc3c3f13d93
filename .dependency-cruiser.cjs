/**
 * Who may import whom (docs/architecture.md, "Folders"). Run by infra/checks/dependency-rules.ts, which also fails when nothing was cruised;
 * infra/checks/dependency-rules.test.ts plants one violation per rule family and expects red.
 */
const WORKSPACE = "^(packages|services|test|infra)/";

/** Workspace packages a package may import, besides itself. Anything from the registry is judged by the driver rules below. */
const MAY_IMPORT = {
  protocol: [],
  embedded: [],
  runtime: ["protocol"],
  messaging: ["protocol", "runtime"],
  postgres: ["protocol", "runtime"],
  lanes: ["protocol", "runtime", "messaging", "postgres"],
  testkit: ["protocol", "runtime", "messaging", "postgres", "lanes", "embedded"],
  cli: ["protocol", "runtime", "messaging", "embedded", "standalone"],
  standalone: ["protocol", "runtime", "messaging", "postgres", "lanes", "embedded", "services"],
};

/** Tests may use the test kit and anything a test of that package needs from below. */
const TESTS = "\\.test\\.ts$|/src/(testing|fixtures)/";

const packageRules = Object.entries(MAY_IMPORT).flatMap(([name, allowed]) => {
  const folders = [`packages/${name}/`, ...allowed.map((other) => (other === "services" ? "services/" : `packages/${other}/`))].map(
    (f) => `^${f}`,
  );
  return [
    {
      name: `package-${name}`,
      comment: `packages/${name} may import only: ${allowed.join(", ") || "nothing of the workspace"}`,
      severity: "error",
      from: { path: `^packages/${name}/`, pathNot: TESTS },
      to: { path: WORKSPACE, pathNot: folders },
    },
    {
      name: `package-${name}-tests`,
      comment: `tests of packages/${name} may also import the test kit`,
      severity: "error",
      from: { path: `^packages/${name}/.*(${TESTS})` },
      to: { path: WORKSPACE, pathNot: [...folders, "^packages/testkit/", "^packages/embedded/"] },
    },
  ];
});

module.exports = {
  forbidden: [
    ...packageRules,
    {
      name: "resolvable",
      comment: "an import that does not resolve is not checked by any other rule",
      severity: "error",
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: "no-cycle",
      severity: "error",
      comment: "types may be imported in circles, code may not",
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
    },
    {
      name: "services-are-strangers",
      comment: "services meet in protocol and on the wire",
      severity: "error",
      from: { path: "^services/([^/]+)/" },
      to: { path: "^services/", pathNot: "^services/$1/" },
    },
    {
      name: "services-import-packages-below",
      comment: "a service is started by standalone and the CLI, never the other way round",
      severity: "error",
      from: { path: "^services/" },
      to: { path: "^packages/(standalone|cli|embedded)/" },
    },
    {
      name: "testkit-in-tests-only",
      severity: "error",
      from: { path: "^(packages|services)/", pathNot: ["^packages/testkit/", TESTS] },
      to: { path: "^packages/testkit/" },
    },
    {
      name: "nothing-imports-tests",
      severity: "error",
      from: { path: "^(packages|services|infra)/" },
      to: { path: "^test/" },
    },
    {
      name: "nothing-imports-test-files",
      severity: "error",
      from: { pathNot: TESTS },
      to: { path: "\\.test\\.ts$" },
    },
    {
      name: "domain-is-pure",
      comment:
        "domain/ imports its own domain/, protocol (and zod, protocol's own schema language) and the pure topic-path: no node:*, no driver, no adapter",
      severity: "error",
      from: { path: "^services/([^/]+)/src/domain/", pathNot: TESTS },
      to: { pathNot: ["^services/$1/src/domain/", "^packages/protocol/", "^packages/topic-path/", "node_modules/zod/"] },
    },
    {
      name: "main-is-a-runner",
      comment: "main.ts imports the service's index or service and the process shell",
      severity: "error",
      from: { path: "^services/([^/]+)/src/main\\.ts$" },
      to: { pathNot: ["^services/$1/src/(index|service|config)\\.ts$", "^packages/runtime/"] },
    },
    {
      name: "only-messaging-talks-nats",
      comment: "ADR-0001. Tests and benchmarks under test/ measure the raw client on purpose",
      severity: "error",
      from: { path: "^(packages|services)/", pathNot: ["^packages/messaging/", TESTS] },
      to: { path: "node_modules/@nats-io/" },
    },
    {
      name: "protocol-needs-zod-only",
      severity: "error",
      from: { path: "^packages/protocol/src/", pathNot: TESTS },
      to: { pathNot: ["^packages/protocol/src/", "node_modules/zod/"] },
    },
    {
      name: "only-adapters-hold-drivers",
      comment: "drivers stay at the rim: adapters/ and service.ts",
      severity: "error",
      from: { path: "^services/", pathNot: ["/src/adapters/", "/src/service\\.ts$", "drizzle\\.config\\.ts$", TESTS] },
      to: { path: "node_modules/(pg|drizzle-orm|ws)/", dependencyTypesNot: ["type-only"] },
    },
    {
      name: "edge-has-no-database",
      severity: "error",
      from: { path: "^services/edge/", pathNot: TESTS },
      to: { path: ["node_modules/(pg|drizzle-orm)/", "^packages/postgres/"] },
    },
    {
      name: "declared-dependencies",
      comment: "an import must be declared in the importing package's own package.json",
      severity: "error",
      from: { path: "^(packages|services)/", pathNot: TESTS },
      to: { dependencyTypes: ["npm-no-pkg", "npm-unknown"] },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    exclude: { path: "(^|/)(node_modules/\\.cache|vectors|spec)/" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    combinedDependencies: false,
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "node", "default", "types"],
      extensions: [".ts", ".mjs", ".cjs", ".js", ".json", ".d.ts"],
    },
  },
};
