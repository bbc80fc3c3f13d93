/**
 * Finds or fetches a nats-server: NATS_SERVER_BIN → PATH → cache → official release (checksum pinned) → Debian package, unpacked without root.
 * No npm package carries the binary. Throws one Error that lists everything that was tried. Tests: nats-binary.int.test.ts.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { cacheDir } from "./cache-dir.ts";

/** 2.12.3 is the floor: earlier versions lose acknowledged messages in known ways (docs/gotchas.md). */
export const MIN_NATS_VERSION = [2, 12, 3] as const;
const RELEASE = "2.14.5";
const SHA256: Record<string, string> = {
  "linux-amd64": "5e3b603d47c447bda1f77f9ac16dbf91c90aac4ff3681f8fbbc7201e4ed99355",
  "linux-arm64": "673a98d3faa79dde3f9ebf16d6dfac36a5f694e7ad2015e4954dd7939c85cd4c",
  "darwin-amd64": "f95c98d6b6ed2b63c5681b46b092c9585c99767d547cf495730c329234625e96",
  "darwin-arm64": "ddd907854d9a2de834af133fa396915fe6442fe6d8909ae31390d1ea7a0fea50",
};

type Env = Readonly<Record<string, string | undefined>>;
export interface NatsBinary {
  bin: string;
  version: string;
  /** Where it was found: `PATH`, `cache`, … */
  from: string;
}

/** One that is here already, and what was looked at; downloads nothing. */
export function findNatsServer(env: Env): { found?: NatsBinary; tried: string[] } {
  const tried: string[] = [];
  const known: [string, string | undefined][] = [
    ["NATS_SERVER_BIN", env["NATS_SERVER_BIN"]],
    ["PATH", "nats-server"],
    ["cache", cachedBinary(env)],
  ];
  for (const [from, bin] of known) {
    if (!bin) continue;
    const version = versionOf(bin);
    if (version && atLeastMinimum(version)) return { found: { bin, version: version.join("."), from }, tried };
    tried.push(`${from}: ${version ? `found ${version.join(".")}, need >= ${MIN_NATS_VERSION.join(".")}` : "not found"}`);
  }
  return { tried };
}

function cachedBinary(env: Env): string {
  return path.join(cacheDir(env), "nats", `${process.platform}-${process.arch}`, "nats-server");
}

export async function resolveNatsServer(env: Env, log: (message: string) => void): Promise<NatsBinary> {
  const { found: present, tried } = findNatsServer(env);
  if (present) return present;
  const cached = cachedBinary(env);
  const sources: [string, (dir: string) => Promise<string> | string][] = [["official release", (dir) => fromRelease(dir, env)]];
  if (process.platform === "linux")
    for (const suite of ["forky", "sid"]) sources.push([`Debian ${suite} package`, (dir) => fromDebian(dir, suite)]);
  for (const [from, fetchInto] of sources) {
    const dir = path.join(cacheDir(env), "nats", `tmp-${process.pid}`);
    try {
      log(`nats-server: trying ${from}`);
      fs.mkdirSync(dir, { recursive: true, mode: 0o755 });
      const bin = await fetchInto(dir);
      const found = versionOf(bin);
      if (!found || !atLeastMinimum(found)) throw new Error(`unusable version ${found?.join(".") ?? "(does not run here)"}`);
      fs.mkdirSync(path.dirname(cached), { recursive: true });
      fs.renameSync(bin, cached);
      return { bin: cached, version: found.join("."), from };
    } catch (error) {
      tried.push(`${from}: ${describe(error)}`);
    } finally {
      fs.rmSync(dir, { recursive: true, force: true });
    }
  }
  throw new Error(
    `no usable nats-server >= ${MIN_NATS_VERSION.join(".")}\n  ${tried.join("\n  ")}\nSet NATS_URL to a running server, or put a nats-server on PATH (macOS: brew install nats-server; Debian: the package from testing; or the release binary).`,
  );
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message} (${error.cause.message})` : error.message;
}

function versionOf(bin: string): [number, number, number] | undefined {
  if (bin.includes("/") && !fs.existsSync(bin)) return undefined;
  const done = spawnSync(bin, ["--version"], { encoding: "utf8", timeout: 5000 });
  const match = /v(\d+)\.(\d+)\.(\d+)/.exec(done.stdout ?? "");
  return match ? [Number(match[1]), Number(match[2]), Number(match[3])] : undefined;
}

function atLeastMinimum(version: [number, number, number]): boolean {
  for (let i = 0; i < 3; i++) {
    const difference = (version[i] ?? 0) - (MIN_NATS_VERSION[i] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return true;
}

async function fromRelease(dir: string, env: Env): Promise<string> {
  const arch = process.arch === "x64" ? "amd64" : process.arch;
  const platform = `${process.platform}-${arch}`;
  const wanted = SHA256[platform];
  if (!wanted) throw new Error(`no release for ${platform}`);
  const base = env["NATS_RELEASE_BASE"] ?? "https://github.com/nats-io/nats-server/releases/download";
  const answer = await fetch(`${base}/v${RELEASE}/nats-server-v${RELEASE}-${platform}.tar.gz`, {
    signal: AbortSignal.timeout(60_000),
    redirect: "follow",
  });
  if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
  const archive = Buffer.from(await answer.arrayBuffer());
  const got = createHash("sha256").update(archive).digest("hex");
  if (got !== wanted) throw new Error(`checksum mismatch ${got}`);
  const file = path.join(dir, "nats.tgz");
  fs.writeFileSync(file, archive);
  run("tar", ["-xzf", file, "--strip-components=1", "-C", dir]);
  const bin = path.join(dir, "nats-server");
  fs.chmodSync(bin, 0o755);
  return bin;
}

/** The package of a newer Debian through a private apt state: no root, nothing of the system changes, signatures stay verified. */
function fromDebian(dir: string, suite: string): string {
  const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
  if (!fs.existsSync(keyring)) throw new Error("not a Debian system");
  const mirror = debianMirror();
  if (!mirror) throw new Error("no Debian mirror configured");
  const apt = path.join(dir, "apt");
  for (const sub of ["lists/partial", "cache/archives/partial", "parts", "prefs"]) fs.mkdirSync(path.join(apt, sub), { recursive: true });
  fs.writeFileSync(
    path.join(apt, "parts/headwater.sources"),
    `Types: deb\nURIs: ${mirror}\nSuites: ${suite}\nComponents: main\nSigned-By: ${keyring}\n`,
  );
  fs.writeFileSync(path.join(apt, "status"), "");
  const options = [
    `Dir::State=${apt}`,
    `Dir::State::status=${apt}/status`,
    `Dir::State::lists=${apt}/lists`,
    `Dir::Cache=${apt}/cache`,
    "Dir::Etc::sourcelist=/dev/null",
    `Dir::Etc::sourceparts=${apt}/parts`,
    `Dir::Etc::preferencesparts=${apt}/prefs`,
    "Dir::Etc::preferences=/dev/null",
    "APT::Sandbox::User=",
    // A mirror may serve a testing index past its validity date; the signature is still checked.
    "Acquire::Check-Valid-Until=false",
    "Acquire::Languages=none",
    "Acquire::Retries=2",
  ].flatMap((option) => ["-o", option]);
  run("apt-get", [...options, "-qq", "update"]);
  run("apt-get", [...options, "-qq", "download", "nats-server"], apt);
  const deb = fs.readdirSync(apt).find((file) => file.endsWith(".deb"));
  if (!deb) throw new Error("the package did not arrive");
  run("dpkg", ["-x", path.join(apt, deb), path.join(dir, "root")]);
  const bin = path.join(dir, "nats-server");
  fs.copyFileSync(path.join(dir, "root/usr/sbin/nats-server"), bin);
  fs.chmodSync(bin, 0o755);
  return bin;
}

/** `apt-get indextargets` prints nothing before the first update, so the sources files are read. */
function debianMirror(): string | undefined {
  const parts = "/etc/apt/sources.list.d";
  const files = ["/etc/apt/sources.list", ...(fs.existsSync(parts) ? fs.readdirSync(parts).map((file) => path.join(parts, file)) : [])];
  return files
    .filter((file) => /\.(list|sources)$/.test(file) && fs.existsSync(file))
    .flatMap((file) =>
      [...fs.readFileSync(file, "utf8").matchAll(/^(?:URIs:\s*|deb\s+(?:\[[^\]]*\]\s*)?)(\S+)/gm)].map((match) => match[1] ?? ""),
    )
    .find((uri) => /^https?:\/\/\S+\/debian\/?$/.test(uri));
}

function run(command: string, args: string[], cwd?: string): void {
  const done = spawnSync(command, args, { encoding: "utf8", timeout: 120_000, ...(cwd === undefined ? {} : { cwd }) });
  if (done.status !== 0)
    throw new Error(`${command} ${args.at(-1) ?? ""}: ${(done.stderr || done.error?.message || "").trim().split("\n").pop() ?? ""}`);
}
