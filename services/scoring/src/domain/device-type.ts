/**
 * Desktop, mobile or tablet from a user agent. Android says `Mobile` on phones, mostly; makers of cheap tablets copy the phone's
 * agent and Android on a laptop drops it, so the model's name has a say. Rules go by generic words, never by single models.
 * Tests: device.test.ts; measured by test/acceptance/user-agents.
 */
import type { DeviceLabel } from "@headwater/protocol";
import { isTabletSeries } from "./tablet-series.ts";

type DeviceType = DeviceLabel["type"];

/** Product lines of personal computers, seen when Android runs on one. */
const COMPUTER_MODEL =
  /\b(?:Chromebook|Chromebox|Pixelbook|MacBook|Inspiron|Latitude|Vostro|OptiPlex|XPS|Aspire|TravelMate|Satellite|Portege|Tecra|ThinkPad|IdeaPad|ThinkCentre|EliteBook|ProBook|ZBook|Pavilion|Compaq|EliteDesk|LIFEBOOK|VivoBook|ZenBook|Notebook|Laptop|2in1|2-in-1|x86_64)\b/i;

/**
 * What tablets are called by many makers: the word itself (Tab, Pad, SurfTab), `MID` (mobile internet device), a size in inches, or
 * a name that ends in its radio (`T500 3G`, `(Wi-Fi)`): every phone has one, so only tablets mention it.
 */
const TABLET_WORD = /tab(?:let)?(?:[^a-z]|$)|pad(?:[^a-z]|$)|\bMID[-_ ]?\d|\bkids\b|\d ?inch|[ _(-](?:3G|Wi-?Fi)(?:[^a-z0-9]|$)/i;

/** Televisions, set-top boxes and consoles: screens that stay where they are, Android or not. We have no word of our own for them. */
const FIXED_SCREEN =
  /(?:smart|android|google|apple|mi|web|hbb)[ _-]?tv|\bWeb0S\b|\bBRAVIA\b|\bAFT[A-Z]{1,4}\b|\bChromecast\b|\bCrKey\b|set-?top|\bSTB\b|\bXbox\b|\bPLAYSTATION [345]\b|\bNintendo WiiU?\b/i;

/** The bare word: televisions, but with `Mobile` also phones that have a tuner. */
const TV_WORD = /(?:^|[^a-z])TV(?:[^a-z]|$)/i;

/**
 * How large makers number or name their phones, for agents without `Mobile`: unfolded screens, apps, old browsers. Tablets of the same
 * makers have other series (tablet-series.ts) or say Pad or Tab, and are looked for first.
 */
const PHONE_SERIES =
  /^(?:(?:SAMSUNG )?SM-[ACEFGJMNSZ]\d|moto [egxz]\b|Pixel \d|ASUS_[AITXZ]0|CPH\d{4}|RMX\d{4}|V2\d{3}A?\b|vivo \d|Redmi |POCO |ONEPLUS|Nokia \d|LM-[GKQVX]\d|XQ-[A-Z]{2}\d)/i;

/** Systems and browsers that only exist on phones. */
const PHONE =
  /\bWindows Phone\b|\bIEMobile\b|\bWPDesktop\b|\(Mobile;|KAI ?OS\/|\bMIDP\b|\bSymbian|\bSeries ?60\b|BlackBerry|\bBB10\b|Opera Mobi|Opera Mini|\bBada\b|\bMAUI\b|\bUP\.Browser|\bUCWEB\/|\bDoCoMo\/|WAP[- ]Browser|; Adr \d|\bwebOS\/1\.|\bwebOS\/2\./i;

/** @param askParser the library's device type; asked only where the tokens do not tell. */
export function deviceTypeOf(userAgent: string, askParser: () => string | undefined): DeviceType {
  if (/\biPad\b/.test(userAgent)) return "tablet";
  if (/\biPhone|\biPod\b|\biPh\d/.test(userAgent)) return "mobile";
  if (FIXED_SCREEN.test(userAgent)) return "desktop";
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
  if (TABLET_WORD.test(model) || isTabletSeries(model) || /\/apad\b/.test(userAgent)) return "tablet";
  if (/\bMobile\b/.test(userAgent) || PHONE_SERIES.test(model)) return "mobile";
  if (TV_WORD.test(userAgent)) return "desktop";
  const parsed = askParser();
  // The parser knows televisions and boxes by model.
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
