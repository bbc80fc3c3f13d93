/**
 * What a trusted edge proxy says about a request in `X-Edge-*` headers. The caller checks that the proxy is a configured one.
 * Pure. Tests: small-rules.test.ts.
 */
import type { EdgeFacts } from "@headwater/protocol";
import { isHostingNetwork } from "./hosting-networks.ts";
import { clip } from "./text.ts";

/** @param header looks a header up by its lower-case name. Values that make no sense are ignored. */
export function edgeFacts(header: (name: string) => string | undefined): EdgeFacts | undefined {
  const botScore = integer(header("x-edge-bot-score"), 1, 99);
  const verified = header("x-edge-verified-bot")?.toLowerCase();
  const asn = integer(header("x-edge-asn")?.replace(/^AS/i, ""), 1, 4_294_967_295);
  const asnOrg = header("x-edge-asn-org");
  const country = header("x-edge-country");
  const ja4 = header("x-edge-ja4");
  const facts: EdgeFacts = {
    ...(botScore === undefined ? {} : { botScore }),
    ...(verified === undefined ? {} : { verifiedBot: verified === "true" || verified === "1" }),
    ...(asn === undefined ? {} : { asn }),
    ...(asnOrg === undefined || asnOrg === "" ? {} : { asnOrg: clip(asnOrg, 128) }),
    ...(asn !== undefined || asnOrg !== undefined ? { hosting: isHostingNetwork(asn, asnOrg) } : {}),
    ...(country !== undefined && /^[A-Za-z]{2}$/.test(country) ? { country: country.toUpperCase() } : {}),
    ...(ja4 !== undefined && /^[A-Za-z0-9_]{10,64}$/.test(ja4) ? { ja4 } : {}),
  };
  return Object.keys(facts).length === 0 ? undefined : facts;
}

function integer(text: string | undefined, min: number, max: number): number | undefined {
  if (text === undefined || !/^\d{1,10}$/.test(text)) return undefined;
  const value = Number(text);
  return value >= min && value <= max ? value : undefined;
}
