/**
 * Rules of ours that no linter knows: where the clock, the environment and subject literals may appear, what a test may do, how a file starts.
 * Reads the source tree only. Each rule is a row with its reason; tests: source-rules.test.ts.
 */
import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import { type Part, split } from "./lexer.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");

interface Rule {
  name: string;
  why: string;
  /** Does the rule look at this file? Path is relative to the root with forward slashes. */
  files: (file: string) => boolean;
  find: (parts: readonly Part[], source: string) => { line: number; text: string }[];
}

export interface Finding {
  rule: string;
  file: string;
  line: number;
  text: string;
}

const isTest = (file: string): boolean => file.endsWith(".test.ts") || file.startsWith("test/") || /\/src\/(testing|fixtures)\//.test(file);
const isProduct = (file: string): boolean =>
  /^(packages|services)\/[^/]+\/src\//.test(file) && !isTest(file) && !file.startsWith("packages/testkit/");
const isDomain = (file: string): boolean => /^services\/[^/]+\/src\/domain\//.test(file) && !isTest(file);

/** Findings of `pattern` in the parts of one kind. */
const match =
  (kind: Part["kind"], pattern: RegExp): Rule["find"] =>
  (parts) =>
    parts.flatMap((part) => {
      if (part.kind !== kind) return [];
      return [...part.text.matchAll(new RegExp(pattern, "g"))].map((hit) => ({ line: lineOf(part, hit.index), text: hit[0].trim() }));
    });

function lineOf(part: Part, index: number): number {
  return part.line + (part.text.slice(0, index).match(/\n/g)?.length ?? 0);
}

const LANED = "visits|feeds|posts|turns|signals|topics|analyses|matches|emotions|erasures|consents";
const SERVICE = "auth|ingest|scoring|routing|intelligence|edge";
/** A whole literal that is a subject, a subject filter, or the start of one that code completes. */
const SUBJECT = new RegExp(
  `^(?:(?:${LANED})\\.(?:\\d+|\\*|>|$)|registry\\.(?:[a-z]+\\.|\\*|>|$)|svc\\.(?:(?:${SERVICE})\\.|\\*|>|$)|rpc\\.(?:(?:${LANED})\\.|\\*|>|$)|dlq\\.(?:${SERVICE}|\\*|>|$)$|presence\\.(?:\\*|>|$)|sockets\\.(?:\\*|>|$))`,
);

export const RULES: readonly Rule[] = [
  {
    name: "domain-has-no-clock",
    why: "time, ids and chance are data in a fold; replay must give the same answer",
    files: isDomain,
    find: match(
      "code",
      /\bDate\.now\b|\bnew Date\(\s*\)|\bMath\.random\b|\bprocess\.|\bperformance\.now\b|\bcrypto\.(?:randomUUID|getRandomValues)\b|\bset(?:Timeout|Interval|Immediate)\(|\bqueueMicrotask\(/,
    ),
  },
  {
    name: "domain-has-no-node",
    why: "a domain that cannot reach the outside needs no mock",
    files: isDomain,
    find: match("string", /^node:.+/),
  },
  {
    name: "environment-at-the-rim",
    why: "configuration is parsed once, by a pure function, from what main.ts hands over",
    files: (file) =>
      isProduct(file) &&
      !file.endsWith("/src/main.ts") &&
      !file.startsWith("packages/embedded/") &&
      !file.startsWith("packages/cli/") &&
      file !== "packages/runtime/src/run-service.ts",
    find: match("code", /\bprocess\.env\b/),
  },
  {
    name: "subjects-have-one-home",
    why: "a subject is built by protocol/src/subjects.ts, so that a typo cannot be an unread stream",
    files: (file) => isProduct(file) && !/^packages\/protocol\/src\/(subjects|services|streams)\.ts$/.test(file),
    find: match("string", SUBJECT),
  },
  {
    name: "no-module-state",
    why: "six services run in one process: state lives in an object that somebody constructs",
    files: (file) => isProduct(file) && !file.endsWith("/src/main.ts"),
    find: (_parts, source) =>
      source
        .split("\n")
        .flatMap((text, index) =>
          /^(?:export )?(?:let |(?:const|var) [^=]+= new (?:Map|Set|WeakMap|Array)(?:<[^=]*>)?\(\);)/.test(text)
            ? [{ line: index + 1, text }]
            : [],
        ),
  },
  {
    name: "no-skipped-tests",
    why: "a skipped test is a missing test that looks like one",
    files: (file) => file.endsWith(".test.ts"),
    find: match("code", /\b(?:it|test|describe|bench)\.(?:skip|only|todo|fails)\b/),
  },
  {
    name: "no-sleep-in-tests",
    why: "wait for a position, a frame or an event, not for luck",
    files: (file) => file.endsWith(".test.ts"),
    find: match("code", /\bawait (?:sleep|delay|pause)\(|\bsetTimeout\(\s*(?:resolve|done|r)\b/),
  },
  {
    name: "no-swallowed-rejection",
    why: "an error nobody sees is a bug nobody finds: count it, log it or say why it is harmless in a named function",
    files: isProduct,
    find: match("code", /\.catch\(\s*\(\s*\w*\s*\)\s*=>\s*(?:\{\s*\}|undefined|null)\s*\)/),
  },
  {
    name: "no-machine-paths",
    why: "the repository works on any machine",
    files: () => true,
    find: (parts) => [
      ...match("string", /^\/(?:home|Users|root|work|mnt)\/\S*/)(parts, ""),
      ...match("comment", /(?<![\w.])\/(?:home|Users|work)\/\w\S*/)(parts, ""),
    ],
  },
  {
    name: "no-notes-to-self",
    why: "what is not done is in the issue tracker, not in the code",
    files: () => true,
    find: match("comment", /\b(?:TODO|FIXME|XXX|HACK)\b.*/),
  },
  {
    name: "file-says-what-it-is",
    why: "a newcomer reads the first lines of a file to know whether to read on",
    files: (file) => isProduct(file),
    find: (parts) => (parts[0]?.kind === "comment" ? [] : [{ line: 1, text: "no header comment" }]),
  },
];

/** @param file path relative to the root, forward slashes. */
export function checkSource(file: string, source: string, rules: readonly Rule[] = RULES): Finding[] {
  const text = source.startsWith("#!") ? source.slice(source.indexOf("\n") + 1) : source;
  const parts = split(text);
  return rules
    .filter((rule) => rule.files(file))
    .flatMap((rule) => rule.find(parts, text).map((hit) => ({ rule: rule.name, file, ...hit })));
}

if (import.meta.main) {
  const files = globSync(["packages/**/*.{ts,mjs}", "services/**/*.ts", "test/**/*.ts", "infra/**/*.ts"], {
    cwd: ROOT,
    exclude: (name) => /(^|\/)node_modules$/.test(name),
  });
  const findings = files.flatMap((file) => checkSource(file, readFileSync(path.join(ROOT, file), "utf8")));
  for (const { rule, file, line, text } of findings) console.error(`${file}:${line} ${rule}: ${text.slice(0, 100)}`);
  for (const name of new Set(findings.map((finding) => finding.rule)))
    console.error(`${name}: ${RULES.find((rule) => rule.name === name)?.why}`);
  console.log(`${files.length} files, ${findings.length} findings`);
  if (files.length === 0 || findings.length > 0) process.exitCode = 1;
}
