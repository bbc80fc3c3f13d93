/**
 * How makers number or name their tablets, as opposed to their phones. It matters for tablets that send a phone's agent, with
 * `Mobile`. Only a maker's habit over many models stands here, never one model: a tablet without such a habit counts as a phone.
 * Tests: device.test.ts; measured by test/acceptance/user-agents.
 */
const SERIES: readonly (readonly [maker: string, pattern: RegExp])[] = [
  ["Amazon", /KF[A-Z]{2,5}\b/],
  ["Google", /Nexus (?:7|9|10)\b|Pixel (?:C|Tablet)\b/],
  ["Samsung", /SM-[TXP]\d|GT-P\d|(?:GT-|SM-)?N(?:51|80)\d0\b|SPH-P\d/],
  ["Samsung for operators", /SCH-I(?:8[01]\d|9[012]5)|SGH-I(?:467|497|9[58]7)|SGH-T(?:779|8[456]9)|SHW-M(?:180|[345]8\d|500)/],
  ["Lenovo", /TB-?\d|TB-[A-Z]|Y[BT]\d?-|[ABS]\d{4}-[FH]|[AS](?:7|8|10)-[3-7]0/],
  // `W` for a model without telephony; those with a radio show in the family's letters.
  ["Huawei, Honor", /[A-Z]{3}\d?-W\d\d/],
  ["Huawei, Honor", /(?:AGM|AGR|AGS|BAH|BG\d|BTK|BTV|BZA|BZK|BZT|CMR|DBR|DBY|GEM|GOT|JDN|KJR|KOB|KRJ|MON|MRX|SCM|SHT|VRD|WGR)[R\d]?K?-/],
  ["Huawei", /[MST](?:[1-8]|10)-[A\d]\d\d/],
  // `P` for pad among the letters after the date of the model.
  ["Xiaomi", /2[0-9A-Z]{3,5}RP/],
  ["Oppo, OnePlus", /OPD\d/],
  ["realme", /RMP\d/],
  ["vivo", /PA2\d{3}/],
  ["LG", /LG-V[4-9]\d\d|LM-T\d/],
  // Their large phones have numbers close by: 800x to 805x, 9001 and 9008.
  ["Alcatel, TCL", /8(?:0[6-9]|[1-4]\d)\d[A-Z]|9(?!00[18])[0-4]\d\d[A-Z]|P3[1-6]0[AX]|I21\d|One ?Touch T\d/],
  ["ZTE", /K[789]\d(?:CA|V|U)?\b/],
  ["Sony", /SGP\d|Tablet [PSZ]\b|SO-0(?:3E|5F|5G)\b/],
  ["Asus", /(?:TF|ME)\d{3}|[KP]0[0-2][0-9A-Z]{1,2}\b|Transformer/],
  ["Acer", /[AB][1-3]-[A-Z]?\d\d|Iconia/],
  ["Motorola", /MZ\d{3}|Xoom/],
  ["HP", /HP (?:Slate ?)?(?:7|8|10|17|21)\b/],
  ["Dell", /Venue ?(?:7|8|10)\b/],
  ["Toshiba", /AT[1-9]\d\d/],
  ["Panasonic", /FZ-[ABL]\d/],
  ["Zebra", /ET[4568]\d/],
  ["NEC", /PC-T[A-Z]?\d|LaVieTab/],
  ["au, docomo", /(?:KYT3|LGT0|SHT2)\d|d-\d\d[A-Z]\b/],
  ["Verizon", /QTA[A-Z]|QMV7/],
  ["Barnes & Noble", /BN[RT]V\d/],
  ["RCA", /RCT\d/],
  ["Insignia", /NS-(?:P?\d\d)[AT]/],
  ["Nextbook", /NX(?:[AMW]\d|\d{3}QC)/],
  ["Explay", /Informer \d{3}|Surfer \d/],
  ["DEXP", /Ursus/],
  ["iBall", /iBall[ _]Slide/],
  ["Datawind", /UbiSlate/],
  ["i-mobile", /i-note/],
  ["bq", /Aquaris[ _][EM]10|Edison|Maxwell|Elcano/],
  // From here on makers that put the screen's inches, or tenths of them, into the number.
  ["Archos", /Archos ?(?:7|8|9|1[0-4])\d/],
  ["BQ", /BQ-(?:[789]|1\d)\d\d/],
  ["Irbis", /TZ\d{2,3}\b/],
  ["Prestigio", /PM[TP]\d/],
  ["teXet", /TM-(?:[789]|1\d)\d\d/],
  ["Nomi", /Nomi[ _]?C(?:07|08|09|10)/],
  ["Digma", /[A-Z][ST](?:[789]|1)\d{3}[A-Z]{2}\b/],
  ["Denver", /T[AI]Q-\d/],
  ["Sencor", /Element (?:7|8|9|10)\b/],
  ["Tesla of Belgrade", /Tesla[ _](?:Tablet[ _])?[A-Z](?:7|8|9|10)\b/],
  ["Kruger & Matz", /KM(?:07|08|09|10)\d\d/],
  ["Ainol", /Novo ?(?:7|8|9|10)\b/],
  ["Doogee, Nokia, Blackview", /T[1-3]0(?!\d)/],
  ["Oukitel", /(?:OKT|OT|RT)\d/],
  ["Alldocube", /iPlay/],
  [
    "make hardly anything else",
    /Teclast|Chuwi|Alldocube|Ainol|Pipo|PocketBook|Kurio|nabi|LeapFrog|Vankyo|Dragon Touch|Contixo|Azpen|Ematic|EEBBK|Readboy|Aquarius Cmp/,
  ],
];

const ANY_SERIES = new RegExp(`(?:^|[ _])(?:${SERIES.map(([, pattern]) => pattern.source).join("|")})`, "i");

/** @param model the model as an agent names it, with or without the maker in front. */
export function isTabletSeries(model: string): boolean {
  return ANY_SERIES.test(model);
}
