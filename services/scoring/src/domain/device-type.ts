/**
 * Desktop, mobile or tablet from a user agent. Android says `Mobile` on phones, mostly; makers of cheap tablets copy the phone's
 * agent and Android on a laptop drops it, so the model's name has a say. Rules go by generic words, never by single models.
 * Tests: device.test.ts; measured by test/acceptance/user-agents.
 */
import type { DeviceLabel } from "@headwater/protocol";

type DeviceType = DeviceLabel["type"];

/** Product lines of personal computers, seen when Android runs on one. */
const COMPUTER_MODEL =
  /\b(?:Chromebook|Chromebox|Pixelbook|MacBook|Inspiron|Latitude|Vostro|OptiPlex|XPS|Aspire|TravelMate|Satellite|Portege|Tecra|ThinkPad|IdeaPad|ThinkCentre|EliteBook|ProBook|ZBook|Pavilion|Compaq|EliteDesk|LIFEBOOK|VivoBook|ZenBook|Notebook|Laptop|2in1|2-in-1|x86_64)\b/i;

/**
 * What tablets are called: the word itself (Tab, Pad, SurfTab), `MID` (mobile internet device), a tablet product line, or a name that
 * ends in its radio (`T500 3G`): every phone has one, so only tablets mention it.
 */
const TABLET_WORD =
  /tab(?:let)?(?:[^a-z]|$)|pad(?:[^a-z]|$)|\bMID[-_ ]?\d|\bkids\b|\bkindle\b|\bnexus (?:7|9|10)\b|(?:^|[ _])slide[ _]|\bursus\b|\biconia\b|[ _-](?:3G|Wi-?Fi)(?:[^a-z0-9]|$)/i;

/** How makers number their tablets, as opposed to their phones; one maker (or two with the same habit) per alternative. */
const TABLET_SERIES = new RegExp(
  [
    "KF[A-Z]{2,4}\\b", // Amazon
    "(?:SAMSUNG[ -])?(?:SM-[TXP]\\d|GT-P\\d|GT-N[58]\\d)", // Samsung
    "(?:Lenovo )?(?:TB-?\\d|TB-|YT\\d?-)|Lenovo A(?:5500|7600)", // Lenovo
    "(?:HUAWEI ?)?(?:(?:AGS|AGR|GEM|AGM|BAH|KOB|KJR|JDN|SHT|CMR|BTV|BTK|BZA|BZK|BZT|BZW|SCM|MON|MRX|DBY|DBR|GOT|CPN|WGR|BVE|KRJ)[R\\d]?-|[A-Z]{3}\\d?-W\\d\\d|M[2-6]-\\d|S(?:7|8|10)-)", // Huawei, Honor
    "(?:LG-V\\d|LM-T\\d)", // LG
    "(?:80(?!50|51)|90(?!01|08))\\d\\d[A-Z_]", // Alcatel
    "BQ-[178]\\d{3}", // BQ
    "TZ\\d{2,3}\\b", // Irbis
    "(?:.*[ _])?[TPCNE][STZ]\\d{4}[A-Z]{2}\\b", // Digma
    "(?:.* )?PM[TP]\\d", // Prestigio
    "Nomi_?C(?:07|08|09|10)", // Nomi
    "(?:SGP\\d|SOT\\d|(?:Sony)?SO-0(?:3E|5F|5G))", // Sony
    "RCT\\d", // RCA
    "[AB][13]-\\d{3}", // Acer
    "\\d{5}RP", // Xiaomi
    "(?:.*[ _])?TM-[789]\\d{3}", // teXet
    "Informer \\d", // Explay
    "ELEMENT \\d", // Sencor
    "(?:Readboy|Pixus|PocketBook|AQUARIUS Cmp)", // make nothing else
    ".*T[AI]Q-\\d", // Denver
    "(?:Ginzzu )?GT-[78]\\d{3}\\b", // Ginzzu
  ]
    .map((series) => `^(?:${series})`)
    .join("|"),
  "i",
);

/** Phone lines that browsers on a large or unfolded screen report without `Mobile`. */
const PHONE_SERIES = /^(?:SM-[AFGJMN]\d|moto [egxz]\b|Pixel \d)/i;

/** Systems and browsers that only exist on phones. */
const PHONE =
  /\bWindows Phone\b|\bIEMobile\b|\bWPDesktop\b|\(Mobile;|KAI ?OS\/|\bMIDP\b|\bSymbian|\bSeries ?60\b|BlackBerry|\bBB10\b|Opera Mobi|Opera Mini|\bBada\b|\bMAUI\b|\bUP\.Browser|\bUCWEB\/|\bDoCoMo\/|WAP[- ]Browser|; Adr \d|\bwebOS\/1\.|\bwebOS\/2\./i;

/** @param askParser the library's device type; asked only where the tokens do not tell. */
export function deviceTypeOf(userAgent: string, askParser: () => string | undefined): DeviceType {
  if (/\biPad\b/.test(userAgent)) return "tablet";
  if (/\biPhone|\biPod\b|\biPh\d/.test(userAgent)) return "mobile";
  if (PHONE.test(userAgent)) return "mobile";
  if (/\bAndroid\b/.test(userAgent)) return androidType(userAgent, askParser);
  if (/\bPlayBook\b|\bSilk\/|\bKindle\b|;\s*Tablet;|\bTouchPad\b/.test(userAgent)) return "tablet";
  if (/\bWindows\b|\bMacintosh\b|\bX11\b|\bCrOS\b/.test(userAgent)) return "desktop";
  const parsed = askParser();
  return parsed === "mobile" || parsed === "tablet" ? parsed : "desktop";
}

function androidType(userAgent: string, askParser: () => string | undefined): DeviceType {
  const model = modelOf(userAgent);
  if (COMPUTER_MODEL.test(model)) return "desktop";
  // `apad` is how one large family of browsers reports Android tablets.
  if (TABLET_WORD.test(model) || TABLET_SERIES.test(model) || /\/apad\b/.test(userAgent)) return "tablet";
  if (/\bMobile\b/.test(userAgent) || PHONE_SERIES.test(model)) return "mobile";
  const parsed = askParser();
  if (parsed === "smarttv" || parsed === "console") return "desktop";
  if (parsed === "tablet") return "tablet";
  // Without a browser's closing `Safari/` or `Firefox/` the absence of `Mobile` says nothing; Android below 3 had no tablets.
  const isWholeBrowser = /\bSafari\/|\bFirefox\/|\bOPR\//.test(userAgent);
  return isWholeBrowser && !/\bAndroid [12]\./.test(userAgent) ? "tablet" : "mobile";
}

/** Text between the Android version and the build or the end of the parenthesis. */
function modelOf(userAgent: string): string {
  return (
    /\bAndroid[^;)]*;\s*(?:HarmonyOS;\s*)?(?:[a-z]{2}[-_](?:[a-z]{4}-)?[a-z]{2};\s*)?(.*?)(?: Build\/|; wv|; rv|\) AppleWebKit|\) Gecko|\)$)/i.exec(
      userAgent,
    )?.[1] ?? ""
  );
}
