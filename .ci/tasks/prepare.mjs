// Installs what is missing, or says what is missing and how to get it.

import { existsSync, mkdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { relative, resolve } from "node:path";
import { at, root, tools } from "./paths.mjs";
import { read, run } from "./run.mjs";

/** What a build needs: a linker, Rust's wasm target and the npm packages of the lock file. */
export async function prepareBuild() {
  if (!onPath("cargo")) throw new Missing("cargo", "install it from https://rustup.rs");
  if (!onPath("cc")) await aptInstall("a C linker (cc)", ["gcc", "libc6-dev"]);
  await installWasmTarget();
  await installPackages(root);
}

/** The packages that the tarball is tried with: runtimes and bundlers, which take much room. */
export const prepareRuntimes = () => installPackages(at("tests/runtimes"));

/** The browser that the tests drive; its path. */
export async function prepareChromium() {
  const { chromium } = await import("playwright-core");
  const find = () => findChromium(chromium.executablePath());
  if (find() === undefined) await installChromium();
  const found = find();
  if (found === undefined) throw new Missing("Chromium", "set TIDEWIRE_CHROMIUM to its path");
  return found;
}

/** The other browser; its path. */
export async function prepareFirefox() {
  const { TIDEWIRE_FIREFOX } = process.env;
  const candidates = TIDEWIRE_FIREFOX ? [TIDEWIRE_FIREFOX] : FIREFOX_PATHS;
  const find = () => candidates.find((path) => existsSync(path));
  if (find() === undefined) await aptInstall("Firefox", ["firefox-esr"]);
  const found = find();
  if (found === undefined) throw new Missing("Firefox", "set TIDEWIRE_FIREFOX to its path");
  return found;
}

/** The proxy whose recipe the documentation has, and what makes its certificate; the proxy's path. */
export async function prepareNginx() {
  const find = () => NGINX_PATHS.find((path) => existsSync(path));
  if (find() === undefined || !onPath("openssl"))
    await aptInstall("nginx", ["nginx-light", "openssl"]);
  const found = find();
  if (found === undefined) throw new Missing("nginx", "install it from https://nginx.org");
  return found;
}

/** The other one; its path. */
export async function prepareHaproxy() {
  const find = () => HAPROXY_PATHS.find((path) => existsSync(path));
  if (find() === undefined) await aptInstall("haproxy", ["haproxy"]);
  const found = find();
  if (found === undefined) throw new Missing("haproxy", "install it from https://www.haproxy.org");
  return found;
}

/** An authority for tests that speaks ACME, with names of its own; the folder of its two programs. */
export async function preparePebble() {
  const find = () => PEBBLE_FOLDERS.find((folder) => existsSync(`${folder}/pebble-challtestsrv`));
  if (find() === undefined) await aptInstall("pebble", ["pebble"]);
  const found = find();
  if (found === undefined)
    throw new Missing("pebble", "install it from https://github.com/letsencrypt/pebble");
  return found;
}

/** libFuzzer is C++. */
export async function prepareFuzz() {
  if (!onPath("c++")) await aptInstall("a C++ compiler (c++)", ["g++"]);
}

/** A tool published as a crate, built once into `target/tools`; the path of its program. */
export async function prepareCargoTool({ name, version, folder }) {
  const program = `${folder}/bin/${name}`;
  const installed = read(program, ["--version"]);
  if (!installed.ok || !installed.stdout.includes(version)) {
    console.log(`prepare: build ${name} ${version} (once; a minute or two)`);
    // A tool that runs for a second is not worth minutes of optimising.
    const args = ["install", name, "--version", version, "--locked", "--debug", "--root", folder];
    await run("cargo", args, { env: { CARGO_PROFILE_DEV_DEBUG: "false" } });
  }
  return program;
}

/** One program of a package that is too large to be everybody's; its path. */
export function prepareNpmTool({ name, version, integrity, path }) {
  const folder = resolve(tools, `${name}-${version}`);
  const program = resolve(folder, "package", path);
  if (existsSync(program)) return program;
  console.log(`prepare: fetch ${name} ${version}`);
  mkdirSync(folder, { recursive: true });
  const packed = read("npm", [
    "pack",
    `${name}@${version}`,
    "--json",
    "--pack-destination",
    folder,
  ]);
  if (!packed.ok) throw new Missing(name, `npm cannot fetch it: ${packed.stderr}`);
  const [found] = JSON.parse(packed.stdout);
  if (found.integrity !== integrity) throw new Missing(name, `what npm fetched is another one`);
  const tarball = resolve(folder, found.filename);
  const unpacked = read("tar", ["-xzf", tarball, "-C", folder, `package/${path}`]);
  if (!unpacked.ok) throw new Missing(name, unpacked.stderr);
  rmSync(tarball);
  return program;
}

/** A tool published for Python, in an environment of its own; the path of its program. */
export async function preparePythonTool({ name, version, folder }) {
  const program = `${folder}/bin/${name}`;
  if (existsSync(program)) return program;
  if (!read("python3", ["-c", "import venv, ensurepip"]).ok) {
    await aptInstall("Python with venv", ["python3", "python3-venv"]);
  }
  console.log(`prepare: install ${name} ${version}`);
  await run("python3", ["-m", "venv", folder]);
  await run(`${folder}/bin/pip`, ["install", "--quiet", `${name}==${version}`]);
  return program;
}

/** What we need and cannot install here. */
export class Missing extends Error {
  constructor(what, how) {
    super(`${what} is missing: ${how}`);
    this.name = "Missing";
  }
}

async function installWasmTarget() {
  const sysroot = read("rustc", ["--print", "sysroot"]).stdout.trim();
  if (existsSync(`${sysroot}/lib/rustlib/${WASM_TARGET}/lib`)) return;
  if (!onPath("rustup")) {
    throw new Missing(WASM_TARGET, "install Rust by rustup, which can add this target");
  }
  await run("rustup", ["target", "add", WASM_TARGET]);
}

/** What the lock file of a folder names. */
async function installPackages(folder) {
  // npm writes this file at the end of an installation.
  const installed = `${folder}/node_modules/.package-lock.json`;
  const locked = statSync(`${folder}/package-lock.json`).mtimeMs;
  if (existsSync(installed) && statSync(installed).mtimeMs >= locked) return;
  console.log(`prepare: install the npm packages of ${relative(root, folder) || "the repository"}`);
  // The test runner and bundlers of another folder run by another Node than this one.
  await run("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: folder });
}

async function aptInstall(what, packages) {
  const command = `apt-get install -y --no-install-recommends ${packages.join(" ")}`;
  const isRoot = process.getuid?.() === 0;
  if (!isRoot || !onPath("apt-get")) throw new Missing(what, `on Debian: ${command}`);
  console.log(`prepare: install ${what}`);
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  await run("apt-get", ["update", "-qq"], { env });
  await run("apt-get", command.split(" ").slice(1), { env });
}

/** Ubuntu's package is only a pointer to a snap, which containers cannot run; Playwright brings its own. */
async function installChromium() {
  const isUbuntu =
    existsSync("/etc/os-release") && /^ID=ubuntu$/m.test(readFileSync("/etc/os-release", "utf8"));
  if (!isUbuntu) return aptInstall("Chromium", ["chromium"]);
  return run("npx", ["--no-install", "playwright-core", "install", "--with-deps", "chromium"]);
}

function findChromium(playwrights) {
  const { TIDEWIRE_CHROMIUM } = process.env;
  const candidates = TIDEWIRE_CHROMIUM ? [TIDEWIRE_CHROMIUM] : [...CHROMIUM_PATHS, playwrights];
  return candidates.find((path) => existsSync(path));
}

function onPath(program) {
  return (process.env.PATH ?? "").split(":").some((folder) => existsSync(`${folder}/${program}`));
}

const WASM_TARGET = "wasm32-unknown-unknown";
const NGINX_PATHS = [
  "/usr/sbin/nginx",
  "/usr/bin/nginx",
  "/usr/local/sbin/nginx",
  "/opt/homebrew/bin/nginx",
];
const HAPROXY_PATHS = [
  "/usr/sbin/haproxy",
  "/usr/bin/haproxy",
  "/usr/local/sbin/haproxy",
  "/opt/homebrew/bin/haproxy",
];
const PEBBLE_FOLDERS = ["/usr/bin", "/usr/local/bin"];
const FIREFOX_PATHS = [
  "/usr/bin/firefox-esr",
  "/usr/bin/firefox",
  "/Applications/Firefox.app/Contents/MacOS/firefox",
];
const CHROMIUM_PATHS = [
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome-stable",
  "/usr/bin/google-chrome",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];
