/**
 * Replaces personal data in free text: e-mail, token, card, social security number, phone, IP address; `aggressive` adds UUIDs.
 * Every step is linear in the length of the text, because the text is an attacker's. Pure. Vectors: vectors/scrub.json.
 */
export type ScrubLevel = "standard" | "aggressive";

/** @returns `text` with matches replaced by `[email]`, `[token]`, `[card]`, `[ssn]`, `[phone]`, `[ip]`, `[id]`, in this order of precedence. */
export function scrubText(text: string, level: ScrubLevel): string {
  const hints = hintsOf(text);
  if (hints === 0) return text;
  let out = text;
  if (hints & HAS_AT) out = replaceEmails(out);
  if (hints & HAS_TOKEN) out = replaceTokens(out, level);
  if (hints & HAS_NINE_DIGITS) out = replaceNumbers(out);
  if (hints & HAS_IP_MARKS) out = replaceAddresses(out);
  return out;
}

const HAS_AT = 1;
const HAS_TOKEN = 2;
const HAS_NINE_DIGITS = 4;
const HAS_IP_MARKS = 8;

/** One pass that says which of the dearer steps can match at all; most text needs none of them. */
function hintsOf(text: string): number {
  let hints = text.includes("eyJ") ? HAS_TOKEN : 0;
  let digits = 0;
  let dots = 0;
  let colons = 0;
  let run = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code >= 48 && code <= 57) {
      digits++;
      run++;
    } else if ((code >= 97 && code <= 122) || (code >= 65 && code <= 90) || code === 45 || code === 95) {
      run++;
    } else {
      run = 0;
      if (code === 64) hints |= HAS_AT;
      else if (code === 46) dots++;
      else if (code === 58) colons++;
    }
    if (run >= 32) hints |= HAS_TOKEN;
  }
  if (digits >= 9) hints |= HAS_NINE_DIGITS;
  if ((dots >= 3 && digits >= 4) || colons >= 2) hints |= HAS_IP_MARKS;
  return hints;
}

const emailLocal = /[\p{L}\p{N}._%+'-]/u;
const emailDomain = /[\p{L}\p{N}.-]/u;
const topLevel = /\.[\p{L}][\p{L}\p{N}-]*\p{L}$|\.\p{L}{2,}$/u;

/** Grown outwards from each `@`: a single pattern would be quadratic on a long text without a match. */
function replaceEmails(text: string): string {
  let out = "";
  let done = 0;
  for (let at = text.indexOf("@"); at !== -1; at = text.indexOf("@", at + 1)) {
    let start = at;
    while (start > done && at - start < 64 && emailLocal.test(text[start - 1] ?? "")) start--;
    let end = at + 1;
    while (end < text.length && end - at <= 254 && emailDomain.test(text[end] ?? "")) end++;
    // Punctuation after an address belongs to the sentence.
    while (end > at + 1 && (text[end - 1] === "." || text[end - 1] === "-")) end--;
    if (start === at || !topLevel.test(text.slice(at + 1, end))) continue;
    out += `${text.slice(done, start)}[email]`;
    done = end;
    at = end - 1;
  }
  return out + text.slice(done);
}

const jwt = /(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+){1,4}\.?/g;
const longRun = /[A-Za-z0-9_-]{32,}/g;
const uuid = /(?<![0-9A-Za-z])[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?![0-9A-Za-z])/gi;
const wholeUuid = new RegExp(`(${uuid.source})`, "i");
const onlyUuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const word = /^(?:[A-Za-z]?[a-z]{0,19}|[A-Z]{1,12}|\d{1,8}|[a-z]{1,12}\d{1,4}|\d{1,4}[a-z]{1,4})$/;

function replaceTokens(text: string, level: ScrubLevel): string {
  const withoutJwt = text.replace(jwt, "[token]");
  const withoutUuid = level === "aggressive" ? withoutJwt.replace(uuid, "[id]") : withoutJwt;
  return withoutUuid.replace(longRun, (run) => (isReadable(run) ? run : "[token]"));
}

/** A long run of words (`how-to-choose-a-plan-for-2024-and-after`) is a slug, not a secret; UUIDs are only for `aggressive`. */
function isReadable(run: string): boolean {
  return onlyUuid.test(run) || run.split(/[-_]/).every((part) => word.test(part));
}

const cardCandidate = /(?<!\d)\d(?:[ -]?\d){12,}/g;
const ssn = /(?<!\d)(?!000|666|9\d\d)\d{3}([- ])(?!00)\d{2}\1(?!0000)\d{4}(?!\d)/g;
const ipv4Shape = /(?:\d{1,3}\.){3}\d{1,3}(?![\d.]*\d)/y;
const isoDate = /(?:19|20)\d\d[-.](?:0\d|1[0-2])[-.](?:[0-2]\d|3[01])(?!\d)/y;
const phone = /(?<!\d)\+?\(?\d(?:[ ().-]{0,2}\d){8,}/g;

/** Digits inside a UUID are no number; only `aggressive` takes the UUID out, and it did before. */
function replaceNumbers(text: string): string {
  return text
    .split(wholeUuid)
    .map((part, i) => (i % 2 === 1 ? part : replacePhones(part.replace(cardCandidate, replaceCard).replace(ssn, "[ssn]"))))
    .join("");
}

/** An address or a date is not a phone number, although its digits would do; what follows it may be one. */
function replacePhones(text: string): string {
  return text.replace(phone, (match, offset: number, whole: string) => {
    const start = offset + (/^[+(]+/.exec(match)?.[0].length ?? 0);
    const end = endOf(ipv4Shape, whole, start) ?? endOf(isoDate, whole, start);
    if (end === undefined) return "[phone]";
    return match.slice(0, end - offset) + replacePhones(match.slice(end - offset));
  });
}

function endOf(pattern: RegExp, text: string, offset: number): number | undefined {
  pattern.lastIndex = offset;
  return pattern.test(text) ? pattern.lastIndex : undefined;
}

/**
 * The longest start of 13–19 digits that ends with its group and passes: `4111 1111 1111 1111 12` is a card and something else.
 * What follows is looked at again.
 */
function replaceCard(match: string): string {
  let digits = "";
  let end = 0;
  for (let i = 0; i < match.length && digits.length < 19; i++) {
    const code = match.charCodeAt(i);
    if (code < 48 || code > 57) continue;
    digits += match[i];
    const next = match[i + 1];
    const endsGroup = next === undefined || next === " " || next === "-";
    if (digits.length >= 13 && endsGroup && passesLuhn(digits)) end = i + 1;
  }
  return end === 0 ? match : `[card]${match.slice(end).replace(cardCandidate, replaceCard)}`;
}

export function passesLuhn(digits: string): boolean {
  let sum = 0;
  for (let i = 0; i < digits.length; i++) {
    let digit = digits.charCodeAt(digits.length - 1 - i) - 48;
    if (i % 2 === 1) {
      digit *= 2;
      if (digit > 9) digit -= 9;
    }
    sum += digit;
  }
  return sum % 10 === 0;
}

const addressRun = /[0-9A-Fa-f:.]{3,}/g;
const ipv4 = /^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)$/;
const wordCharacter = /[\p{L}\p{N}_]/u;

function replaceAddresses(text: string): string {
  return text.replace(addressRun, (run, offset: number, whole: string) => {
    if (wordCharacter.test(whole[offset - 1] ?? "") || wordCharacter.test(whole[offset + run.length] ?? "")) return run;
    const core = run.replace(/[.:]+$/, (tail) => (tail.endsWith("::") ? tail : ""));
    const rest = run.slice(core.length);
    if (ipv4.test(core) || isIpv6(core)) return `[ip]${rest}`;
    // `10.0.0.1:8080`
    const port = core.lastIndexOf(":");
    return port > 0 && ipv4.test(core.slice(0, port)) ? `[ip]${core.slice(port)}${rest}` : run;
  });
}

const group = /^[0-9a-f]{1,4}$/i;

export function isIpv6(text: string): boolean {
  const halves = text.split("::");
  if (halves.length > 2) return false;
  let groups = 0;
  for (let h = 0; h < halves.length; h++) {
    const half = halves[h] ?? "";
    if (half === "") continue;
    const parts = half.split(":");
    for (let i = 0; i < parts.length; i++) {
      const part = parts[i] ?? "";
      const isLast = h === halves.length - 1 && i === parts.length - 1;
      if (isLast && part.includes(".")) {
        if (!ipv4.test(part)) return false;
        groups += 2;
      } else if (group.test(part)) groups++;
      else return false;
    }
  }
  return halves.length === 2 ? groups >= 1 && groups <= 7 : groups === 8;
}
