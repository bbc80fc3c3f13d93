/** Compares labels with a collection's own and sums up. Targets: docs/scoring.md. Mapping of names: mapping.json. */
import type { LabeledEvent } from "@headwater/protocol";
import mapping from "./mapping.json" with { type: "json" };

export interface Row {
  readonly ua: string;
  /** null: the source does not say, or sources disagree. */
  readonly isBot: boolean | null;
  readonly browser?: string;
  readonly deviceType?: string;
}

export interface LabeledRow {
  readonly row: Row;
  readonly frame: LabeledEvent;
}

interface Share {
  readonly hits: number;
  readonly of: number;
  readonly share: number;
  readonly target: number;
  readonly ok: boolean;
}

export interface Report {
  readonly ok: boolean;
  readonly rows: number;
  readonly botRecall: Share;
  readonly falsePositives: Share;
  readonly deviceType: Share;
  readonly browser: Share;
  readonly deviceTypeAndBrowser: Share;
  /** Rows that are no bots and whose browser or device label has no counterpart among our names. */
  readonly unmapped: { readonly browser: number; readonly deviceType: number; readonly both: number };
  readonly examples: { readonly missedBots: string[]; readonly falsePositives: string[]; readonly wrongDevices: string[] };
}

const browsers: Readonly<Record<string, string>> = mapping.browser;
const deviceTypes: Readonly<Record<string, string>> = mapping.deviceType;

/** @param show how many examples of each kind of error to list. */
export function report(labeled: readonly LabeledRow[], show: number): Report {
  const bots = labeled.filter(({ row }) => row.isBot === true);
  const others = labeled.filter(({ row }) => row.isBot !== true);
  const ourBrowsers = labeled.filter(({ row }) => row.isBot === false && browserOf(row) !== undefined);
  const withBrowser = others.filter(({ row }) => browserOf(row) !== undefined);
  const withDevice = others.filter(({ row }) => deviceOf(row) !== undefined);
  const withBoth = withBrowser.filter(({ row }) => deviceOf(row) !== undefined);

  const missed = bots.filter(({ frame }) => !frame.bot.isBot);
  const flagged = ourBrowsers.filter(({ frame }) => frame.bot.isBot);
  const isSameBrowser = ({ row, frame }: LabeledRow): boolean => frame.device.browser === browserOf(row);
  const isSameDevice = ({ row, frame }: LabeledRow): boolean => frame.device.type === deviceOf(row);

  const botRecall = atLeast(bots.length - missed.length, bots.length, 0.985);
  const falsePositives = atMost(flagged.length, ourBrowsers.length, 0.005);
  const deviceType = atLeast(withBoth.filter(isSameDevice).length, withBoth.length, 0.97);
  const browser = atLeast(withBrowser.filter(isSameBrowser).length, withBrowser.length, 0.97);
  const both = atLeast(withBoth.filter((row) => isSameBrowser(row) && isSameDevice(row)).length, withBoth.length, 0.97);
  return {
    ok: [botRecall, falsePositives, deviceType, browser, both].every((share) => share.ok),
    rows: labeled.length,
    botRecall,
    falsePositives,
    deviceType,
    browser,
    deviceTypeAndBrowser: both,
    unmapped: {
      browser: others.length - withBrowser.length,
      deviceType: others.length - withDevice.length,
      both: others.length - withBoth.length,
    },
    examples: {
      missedBots: examples(missed, show),
      falsePositives: examples(flagged, show),
      wrongDevices: examples(
        withBoth.filter((row) => !isSameDevice(row)),
        show,
      ),
    },
  };
}

function browserOf(row: Row): string | undefined {
  return row.browser === undefined ? undefined : browsers[row.browser];
}

function deviceOf(row: Row): string | undefined {
  return row.deviceType === undefined ? undefined : deviceTypes[row.deviceType];
}

function atLeast(hits: number, of: number, target: number): Share {
  const share = of === 0 ? 1 : hits / of;
  return { hits, of, share, target, ok: share >= target };
}

function atMost(hits: number, of: number, target: number): Share {
  const share = of === 0 ? 0 : hits / of;
  return { hits, of, share, target, ok: share <= target };
}

function examples(rows: readonly LabeledRow[], show: number): string[] {
  return rows.slice(0, show).map(({ row, frame }) => `${frame.device.type}/${frame.device.browser} ${row.ua.slice(0, 200)}`);
}
