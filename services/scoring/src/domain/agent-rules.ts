/**
 * Our own rules about user agents as text: what to leave out before looking for a bot, what only programs send, and what looks odd
 * to a generic detector but is a person's. Rules go by shape and by generic word, never by a list of known strings.
 * Tests: bot-registry.test.ts; measured by test/acceptance/user-agents.
 */

/** The phone's model in `…Android 8.1.0; en-us; XBot_Senior Build/O11019…`, which may be called anything. */
const ANDROID_MODEL = /(\bAndroid[ /-]?[\d.]*;(?: ?[a-z]{2}[-_][a-z]{2};)? ?)[^;()]*?(?=\)|;| Build\/)/i;

/** Names for robots.txt only; no crawler sends them, so in an agent they prove nothing. */
const CONTROL_TOKEN = /\b(?:Google|Applebot)-Extended\b/gi;

/** Build and deployment tools and language runtimes that fetch by themselves. */
const RUNTIME =
  /\bgo\/go\d|\bPython[ /]\d|\bPHP\/\d|\bPerl\/|\bRuby\/|\bNode(?:\.js)?\/\d|\b(?:containerd|cri-o|docker|buildah|podman|skopeo|helm|kubectl|terraform|ansible)\//i;
const PICTURE_SERVICE = /thumb(?:nail|shot)|screenshot|snapshot/i;
/** One product and nothing else: no browser is that terse. */
const LONE_PRODUCT = /^[\w.%+-]+\/v?\d[\w.+-]*(?: \d+)?$/;

/** Browsers of televisions and old phones, which list their own parts in ways a detector takes for a program's. */
const APPLIANCE =
  /\bHbbTV\/|\bCE-HTML\b|\bSMART-TV\b|\bsmarttv_|\bNETTV\/|\bTbrowser\/|\bVIDAA\b|\bCLDC-\d|\bMAUI\/|\bPOLARIS\/|\bNetFront\/|\bBada\/|\bUCBrowser\//i;
/** Only the name of a phone or a browser: no programmer would call a program that. */
const BARE_NAME = /^(?:iPhone|iPad|iPod)\w*$|^(?:Firefox|BonEcho|Opera|Chrome|Safari) [\d.]+$/;

/**
 * The agent as the bot rules should see it: without the model name of an Android browser (phones are called CUBOT, PHANTOM,
 * Discovery) if a browser engine follows, so that a bot's own product token is never cut out; and without control tokens.
 */
export function agentForBotCheck(userAgent: string): string {
  const agent = userAgent.replace(CONTROL_TOKEN, "");
  return /AppleWebKit\/|Gecko\/|Presto\//.test(agent) ? agent.replace(ANDROID_MODEL, "$1") : agent;
}

export function looksAutomated(userAgent: string): boolean {
  return RUNTIME.test(userAgent) || PICTURE_SERVICE.test(userAgent) || LONE_PRODUCT.test(userAgent);
}

/** True for agents that a generic detector must not be asked about. A registry token in one still counts. */
export function looksLikeAppliance(userAgent: string): boolean {
  return (APPLIANCE.test(userAgent) && !/bot\b|crawl|spider|https?:\/\//i.test(userAgent)) || BARE_NAME.test(userAgent);
}
