/** Networks that sell servers, not internet access to people. By AS number where known, else by the words in the name. Pure. */

const HOSTING_ASNS: ReadonlySet<number> = new Set([
  16509, 14618, 8987, // Amazon
  15169, 396982, 36492, // Google
  8075, 8068, // Microsoft
  14061, // DigitalOcean
  16276, 35540, // OVH
  24940, 213230, // Hetzner
  63949, 20940, // Akamai and Linode
  20473, // Vultr
  31898, // Oracle
  45102, 37963, // Alibaba
  132203, 45090, // Tencent
  51167, // Contabo
  60781, 28753, 16265, // Leaseweb
  12876, // Scaleway
  13335, // Cloudflare
  36352, 9009, 62240, 202425, 210644,
]); // biome-ignore format: grouped by owner

const HOSTING_WORDS =
  /\b(?:hosting|hosted|datacent(?:er|re)|data cent(?:er|re)|cloud|servers?|vps|colo(?:cation)?|amazon|aws|azure|digitalocean|ovh|hetzner|linode|vultr|contabo|leaseweb|scaleway|choopa|m247|rackspace|alibaba|tencent)\b/i;

export function isHostingNetwork(asn: number | undefined, organisation: string | undefined): boolean {
  return (asn !== undefined && HOSTING_ASNS.has(asn)) || (organisation !== undefined && HOSTING_WORDS.test(organisation));
}
