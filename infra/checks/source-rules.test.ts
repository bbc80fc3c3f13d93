/** Every rule: one file that breaks it, one that looks alike and does not. And the lexer under them. */
import { describe, expect, it } from "vitest";
import { split } from "./lexer.ts";
import { checkSource, RULES } from "./source-rules.ts";

const DOMAIN = "services/scoring/src/domain/fold.ts";
const ADAPTER = "services/scoring/src/adapters/log.ts";
const TEST = "services/scoring/src/domain/fold.test.ts";
const head = "/** What it is. */\n";

const CASES: { rule: string; file: string; bad: string[]; good: [file: string, source: string][] }[] = [
  {
    rule: "domain-has-no-clock",
    file: DOMAIN,
    bad: [
      "Date.now();",
      "new Date();",
      "Math.random();",
      "process.hrtime();",
      "performance.now();",
      "setTimeout(f, 1);",
      "queueMicrotask(f);",
      "crypto.randomUUID();",
    ],
    good: [
      [DOMAIN, "new Date(event.et); // not Date.now()"],
      [DOMAIN, 'const text = "Math.random()";'],
      [ADAPTER, "Date.now();"],
      [TEST, "Date.now();"],
    ],
  },
  {
    rule: "domain-has-no-node",
    file: DOMAIN,
    bad: ['import fs from "node:fs";', "import { hash } from 'node:crypto';"],
    good: [[ADAPTER, 'import fs from "node:fs";']],
  },
  {
    rule: "environment-at-the-rim",
    file: ADAPTER,
    bad: ["const port = process.env.PORT;", 'process.env["PORT"];'],
    good: [
      ["services/scoring/src/main.ts", "run(process.env);"],
      ["packages/embedded/src/x.ts", "process.env;"],
      ["test/e2e/x.test.ts", "process.env;"],
      [ADAPTER, "// process.env is read by main.ts"],
    ],
  },
  {
    rule: "subjects-have-one-home",
    file: ADAPTER,
    bad: [
      '"visits.3";',
      '"signals.*";',
      "`visits.${lane}`;",
      '"registry.>";',
      '"registry.key." + id;',
      '"svc.auth.verify";',
      "`rpc.visits.${lane}.context`;",
      '"dlq.scoring";',
      "`presence.${id}`;",
      '"dlq." + name;',
    ],
    good: [
      ["packages/protocol/src/subjects.ts", '"visits.3";'],
      [TEST, '"visits.3";'],
      [ADAPTER, '"signals.published";'],
      [ADAPTER, '"visits";'],
      [ADAPTER, "// see visits.3"],
    ],
  },
  {
    rule: "no-module-state",
    file: ADAPTER,
    bad: ["let count = 0;", "export let last = 1;", "const cache = new Map();", "const seen = new Set<string>();"],
    good: [
      [ADAPTER, "function f() {\n  let count = 0;\n  const cache = new Map();\n}"],
      [ADAPTER, 'const NAMES = new Set(["a"]);'],
      ["packages/cli/src/main.ts", "let stopping = false;"],
    ],
  },
  {
    rule: "no-skipped-tests",
    file: TEST,
    bad: ["it.skip(1);", "describe.only(1);", 'test.todo("x");'],
    good: [
      [TEST, "it.skipIf(noBrowser)(1);"],
      [TEST, 'it("does not it.skip");'],
    ],
  },
  {
    rule: "no-sleep-in-tests",
    file: TEST,
    bad: ["await sleep(500);", "new Promise((resolve) => setTimeout(resolve, 5));"],
    good: [
      [TEST, "await until(() => done);"],
      [ADAPTER, "await sleep(500);"],
    ],
  },
  {
    rule: "no-swallowed-rejection",
    file: ADAPTER,
    bad: ["work().catch(() => {});", "work().catch((err) => undefined);"],
    good: [
      [ADAPTER, "work().catch((err) => log.warn({ err }));"],
      [ADAPTER, "work().catch(() => 1);"],
    ],
  },
  {
    rule: "no-machine-paths",
    file: ADAPTER,
    bad: [`"/${"home"}/somebody/x";`, `// see /${"Users"}/me`],
    good: [[ADAPTER, '"/v1/home/x"; // https://example.com/home/x']],
  },
  { rule: "no-notes-to-self", file: ADAPTER, bad: [`// ${"TO"}DO later`], good: [[ADAPTER, '"TODO list";']] },
  {
    rule: "file-says-what-it-is",
    file: ADAPTER,
    bad: ["export const a = 1;"],
    good: [
      [ADAPTER, "// what it is\nexport const a = 1;"],
      ["packages/cli/src/main.ts", "#!/usr/bin/env node\n/** The CLI. */\nrun();"],
      [TEST, "export const a = 1;"],
    ],
  },
];

it("has a case for every rule", () => {
  expect(CASES.map((c) => c.rule).toSorted()).toEqual(RULES.map((rule) => rule.name).toSorted());
});

describe.each(CASES)("$rule", ({ rule, file, bad, good }) => {
  const found = (path: string, source: string): string[] => checkSource(path, source).map((finding) => finding.rule);
  const withHead = (source: string): string => (rule === "file-says-what-it-is" ? source : head + source);

  it.each(bad)("finds %s", (source) => expect(found(file, withHead(source))).toContain(rule));
  it.each(good)("leaves %s alone: %s", (path, source) => expect(found(path, withHead(source))).not.toContain(rule));
});

it("tells the line of a finding", () => {
  const findings = checkSource(DOMAIN, "/** What\n * it is. */\nconst a = `x${1}\ny`;\nDate.now();\n");
  expect(findings).toEqual([{ rule: "domain-has-no-clock", file: DOMAIN, line: 5, text: "Date.now" }]);
});

describe("lexer", () => {
  const texts = (source: string, kind: string): string[] =>
    split(source)
      .filter((part) => part.kind === kind)
      .map((part) => part.text);

  it.each([
    ["a quote inside a regular expression", "const r = /[\"'`/]/g; f('x');", ["x"]],
    ["a comment mark inside a string", 'f("// not a comment");', ["// not a comment"]],
    ["nested templates", "`a${b ? `c${d}` : {e: 1}}f`;", ["a", "c", "", "f"]],
    ["an escaped quote", '"a\\"b"; "c";', ['a\\"b', "c"]],
    ["a division", "const x = a / b; const y = 'z' / 2;", ["z"]],
  ])("reads %s", (_name, source, strings) => expect(texts(source, "string")).toEqual(strings));

  it("keeps code and comments apart", () => {
    expect(texts("a(); // b\n/* c */ d();", "comment")).toEqual([" b", " c "]);
    expect(texts("a(); // b\n/* c */ d();", "code").map((text) => text.trim())).toEqual(["a();", "d();"]);
  });
});
