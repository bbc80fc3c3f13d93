/** What `tap` can look at: names and subjects → streams to read. Pure. Tests: what.test.ts. */
import { parseSubject, type StreamSpec, streamSpecs, subjects } from "@headwater/protocol";
import { UsageError } from "../terminal.ts";

export interface TapSource {
  stream: string;
  /** Filter inside the stream; absent = all of it. */
  subject?: string;
}

const ALIASES: Record<string, string> = {
  signals: subjects.allLanes("signals"),
  visits: subjects.allLanes("visits"),
  feeds: subjects.allLanes("feeds"),
  topics: subjects.allLanes("topics"),
  analyses: subjects.allLanes("analyses"),
  sockets: subjects.allSocketSessions(),
  registry: subjects.allRegistry(),
  erasures: subjects.allLanes("erasures"),
  consents: subjects.allLanes("consents"),
  dlq: subjects.allDeadLetters(),
};

/**
 * Which streams hold what was asked for. A wildcard that covers a whole stream reads it unfiltered.
 * @throws UsageError when no stream stores such subjects.
 */
export function sourcesOf(what: string): TapSource[] {
  const filter = ALIASES[what] ?? what;
  if (!/^[A-Za-z0-9_*>-]+(\.[A-Za-z0-9_*>-]+)*$/.test(filter)) throw new UsageError(`${what} is not a subject`);
  // Names and subjects of streams are the same in every profile.
  const sources = streamSpecs("laptop").flatMap((spec) => sourceIn(spec, filter));
  if (sources.length > 0) return sources;
  throw new UsageError(`no stream stores ${what}; try ${Object.keys(ALIASES).join(", ")} or one of their subjects`);
}

function sourceIn(spec: StreamSpec, filter: string): TapSource[] {
  return spec.subjects.flatMap((stored) => {
    if (covers(filter, stored)) return [{ stream: spec.name }];
    return covers(stored, filter) && isPossible(filter) ? [{ stream: spec.name, subject: filter }] : [];
  });
}

/** `visits.99` matches `visits.*` textually, but there is no such lane; wildcards stay open. */
function isPossible(filter: string): boolean {
  return /[*>]/.test(filter) || parseSubject(filter).kind !== "unknown";
}

/** True when every subject that `narrow` stands for is matched by `wide`. */
export function covers(wide: string, narrow: string): boolean {
  const want = wide.split(".");
  const have = narrow.split(".");
  for (let i = 0; i < want.length; i++) {
    if (want[i] === ">") return have.length > i;
    const part = have[i];
    if (part === undefined || part === ">") return false;
    if (want[i] !== "*" && want[i] !== part) return false;
  }
  return have.length === want.length;
}
