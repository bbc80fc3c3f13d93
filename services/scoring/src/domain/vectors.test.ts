import { LabeledEvent, NUMERIC_SCORES, type NumericScore, type VisitEvent } from "@headwater/protocol";
import { describe, expect, it } from "vitest";
import vectors from "../../vectors/scoring.json" with { type: "json" };
import { foldScript, T0 } from "./fixtures.ts";
import { newVisitorState, type VisitorState } from "./visitor-state.ts";

const DAY_MS = 86_400_000;
const TOLERANCE = 2;
const MOMENTUM_TOLERANCE = 0.03;

interface VectorRow {
  row: number;
  profile: string;
  events: string;
  userAgent?: string;
  automation?: NonNullable<VisitEvent["device"]["automation"]>;
  edge?: NonNullable<VisitEvent["edge"]>;
  origin?: string;
  closed?: { daysAgo: number; durationSec: number; engagement: number; frustration: number; kinds: number }[];
  expect: {
    scores: number[];
    emotion: string;
    stage: string;
    humanConfidence: number;
    botScore: number;
    isBot: boolean;
    class: string;
    category?: string;
  };
}

const rows: VectorRow[] = vectors.rows;

function run(row: VectorRow): { frame: LabeledEvent; score: (name: NumericScore) => number; confidence: number } {
  const state = stateBefore(row);
  const device = {
    userAgent:
      row.userAgent ?? "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
    ...(row.automation === undefined ? {} : { automation: row.automation }),
  };
  const labeled = foldScript(state, row.events, {
    device,
    ...(row.edge === undefined ? {} : { edge: row.edge }),
    ...(row.origin === "edge" ? { origin: "edge" } : {}),
  });
  const frame = LabeledEvent.parse(JSON.parse(labeled.wire));
  return { frame, score: (name) => frame.scores?.[name] ?? Number.NaN, confidence: labeled.ext.l?.hc ?? Number.NaN };
}

function stateBefore(row: VectorRow): VisitorState {
  const state = newVisitorState();
  state.closed = (row.closed ?? []).map(({ daysAgo, durationSec, engagement, frustration, kinds }) => {
    const startAt = T0 - daysAgo * DAY_MS;
    return { startAt, endAt: startAt + durationSec * 1_000, engagement, frustration, kinds, bought: false };
  });
  return state;
}

function runRow(number: number): ReturnType<typeof run> {
  const row = rows.find((candidate) => candidate.row === number);
  if (row === undefined) throw new Error(`no row ${number}`);
  return run(row);
}

describe("score vectors", () => {
  it.each(rows)("row $row: $profile", (row) => {
    const { frame, score, confidence } = run(row);
    const off = NUMERIC_SCORES.map((name, i) => ({ name, got: score(name), want: row.expect.scores[i] ?? Number.NaN })).filter(
      ({ name, got, want }) => !(Math.abs(got - want) <= (name === "sessionMomentum" ? MOMENTUM_TOLERANCE : TOLERANCE) + 1e-9),
    );
    expect(off).toStrictEqual([]);
    expect({ emotion: frame.scores?.emotionalState, stage: frame.scores?.decisionStage }).toStrictEqual({
      emotion: row.expect.emotion,
      stage: row.expect.stage,
    });
    expect(Math.abs(confidence - row.expect.humanConfidence)).toBeLessThanOrEqual(TOLERANCE);
    expect(Math.abs(frame.bot.score - row.expect.botScore)).toBeLessThanOrEqual(TOLERANCE);
    expect({ isBot: frame.bot.isBot, class: frame.behavioralClass, category: frame.bot.category }).toStrictEqual({
      isBot: row.expect.isBot,
      class: row.expect.class,
      category: row.expect.category,
    });
  });
});

describe("what must hold whatever the constants are", () => {
  it.each([1, 2, 3, 4, 5])("row %i is a bot with a category, named when listed", (row) => {
    const { frame } = runRow(row);
    expect(frame).toMatchObject({ behavioralClass: "bot", bot: { isBot: true } });
    expect(frame.bot.name !== undefined).toBe(row <= 4);
  });

  it("an automated browser is a bot without category", () => {
    expect(runRow(6).frame.behavioralClass).toBe("bot");
    expect(runRow(6).frame.bot).not.toHaveProperty("category");
  });

  it.each([
    [7, "suspicious"],
    [8, "likely_bot"],
    [9, "suspicious"],
    [10, "bot"],
    [11, "likely_bot"],
    [12, "human"],
  ] as const)("row %i is %s", (row, expected) => {
    expect(runRow(row).frame.behavioralClass).toBe(expected);
  });

  it("a first ordinary pageview scores below 15", () => {
    expect(runRow(12).frame.bot.score).toBeLessThan(15);
  });

  it("a bounce is not engaged, a reader is, neither wants to buy", () => {
    expect(runRow(13).score("engagement")).toBeLessThan(30);
    expect(runRow(14).score("engagement")).toBeGreaterThanOrEqual(60);
    expect(runRow(13).score("intent")).toBeLessThan(10);
    expect(runRow(14).score("intent")).toBeLessThan(10);
  });

  it("pricing alone is interest, not high intent", () => {
    expect(runRow(15).score("intent")).toBeGreaterThanOrEqual(40);
    expect(runRow(15).score("intent")).toBeLessThan(70);
  });

  it.each([
    [16, "consideration"],
    [17, "decision"],
  ] as const)("row %i has high intent, speeds up and is in %s", (row, stage) => {
    const { frame, score } = runRow(row);
    expect(score("intent")).toBeGreaterThanOrEqual(70);
    expect(score("sessionMomentum")).toBeGreaterThan(0.3);
    expect(frame.scores?.decisionStage).toBe(stage);
  });

  it("a half-filled checkout is nearly there", () => {
    expect(runRow(18).score("intent")).toBeGreaterThanOrEqual(80);
    expect(runRow(18).score("conversionReadiness")).toBeGreaterThanOrEqual(75);
  });

  it("a purchase ends readiness and abandonment", () => {
    expect(runRow(19).frame.scores).toMatchObject({
      conversionReadiness: 100,
      abandonment: 0,
      decisionStage: "purchase",
      emotionalState: "positive",
    });
  });

  it("coming back raises intent by ten or more", () => {
    expect(runRow(20).score("intent")).toBeGreaterThanOrEqual(runRow(15).score("intent") + 10);
  });

  it("one burst on a live control is not struggling, a stepper is nothing, a dead control is", () => {
    expect(runRow(22).score("frustration")).toBeLessThan(60);
    expect(runRow(24).score("frustration")).toBe(0);
    for (const row of [23, 25]) {
      expect(runRow(row).score("frustration")).toBeGreaterThanOrEqual(60);
      expect(runRow(row).frame.scores?.emotionalState).toBe("negative");
    }
    expect(runRow(26).score("frustration")).toBeLessThan(10);
  });

  it("tells confusion from frustration and from haste", () => {
    expect(runRow(28).score("confusion")).toBeGreaterThanOrEqual(60);
    expect(runRow(28).score("frustration")).toBe(0);
    expect(runRow(29).score("confusion")).toBe(0);
  });

  it("leaving a checkout is abandonment, going back is negative momentum", () => {
    expect(runRow(31).score("abandonment")).toBeGreaterThanOrEqual(80);
    expect(runRow(33).score("sessionMomentum")).toBeLessThan(0);
  });

  it("a cancel page alone is a warning, with a declining history an alarm", () => {
    expect(runRow(36).score("churn")).toBeLessThan(60);
    expect(runRow(37).score("churn")).toBeGreaterThanOrEqual(70);
  });
});
