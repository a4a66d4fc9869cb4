// Starts the real gateway, real servers and real clients for the end-to-end tests.
// PORTCULLIS_BIN names the binary (default: the dev build in the cargo target directory).
import { spawn, execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import { clientToken, growing, keep, keeping } from './canary.mjs';
import { freePort } from './fixtures/ports.mjs';

export { freePort };

const READY_MS = 60_000;
const STOP_MS = 30_000;
const RECORDS_MS = 30_000;
const LOG_KEPT_MAX = 200_000;

export const HERE = dirname(fileURLToPath(import.meta.url));
export const peer = name => join(HERE, name);
const target = process.env.CARGO_TARGET_DIR ?? resolve(HERE, '../../target');
export const BINARY = resolve(process.env.PORTCULLIS_BIN ?? join(target, 'debug/portcullis'));

// Nothing that a test started outlives it.
const running = new Set();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Spawns what ends with the process of the test at the latest. */
export function spawnOwn(command, args, options) {
  const child = spawn(command, args, options);
  running.add(child);
  child.on('close', () => running.delete(child));
  return child;
}

export const sleep = ms => new Promise(done => setTimeout(done, ms));

/** Spawns and waits for the first stdout line that matches; resolves with {child, match, log()}. */
export function spawnReady(command, args, { pattern, env, cwd, label, side }) {
  const child = spawnOwn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  const log = () => `--- ${label} stdout\n${out}\n--- ${label} stderr\n${err}`;
  const whole = side ? growing(side, label) : () => {};
  child.stderr.setEncoding('utf8').on('data', text => {
    err = (err + text).slice(-LOG_KEPT_MAX);
    whole(text);
  });
  const exited = new Promise(done => child.on('close', (code, signal) => done({ code, signal })));
  return new Promise((done, fail) => {
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      fail(new Error(`${label} was not ready in time\n${log()}`));
    }, READY_MS);
    child.on('error', error => fail(new Error(`${label}: ${error.message}`)));
    exited.then(({ code, signal }) => {
      clearTimeout(timer);
      fail(new Error(`${label} ended early (${code ?? signal})\n${log()}`));
    });
    child.stdout.setEncoding('utf8').on('data', text => {
      out = (out + text).slice(-LOG_KEPT_MAX);
      whole(text);
      const match = pattern.exec(out);
      if (!match) return;
      clearTimeout(timer);
      done({ child, match, log, exited, firstLine: out.split('\n')[0] });
    });
  });
}

async function stopChild(child, exited, signal = 'SIGTERM') {
  if (child.exitCode !== null || child.signalCode !== null) return exited;
  child.kill(signal);
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
  const end = await exited;
  clearTimeout(timer);
  return end;
}

/** Starts a server of ours (or, with `preload`, a published one) over HTTP: {url, origin, pid, stop}. */
export async function startServer(script, { args = [], env = {}, preload = false, command = process.execPath } = {}) {
  const imports = preload ? ['--import', peer('fixtures/loopback.mjs')] : [];
  const started = await spawnReady(command, [...imports, peer(script), ...args], {
    pattern: /^listening (http:\S+)$/m,
    env: { PORT: '0', EXIT_WITH_STDIN: '1', ...env },
    label: script,
  });
  const url = started.match[1];
  return {
    url,
    origin: new URL(url).origin,
    pid: started.child.pid,
    log: started.log,
    stop: async signal => {
      await keepSeen(script, url);
      return stopChild(started.child, started.exited, signal);
    },
    seen: async () => (await fetch(new URL('/seen', url))).json(),
    reset: async () => {
      await keepSeen(script, url);
      return (await fetch(new URL('/reset', url), { method: 'POST' })).status;
    },
  };
}

/** What a server of ours received, for the search of canaries. */
async function keepSeen(script, url) {
  if (!keeping()) return;
  const side = script.startsWith('fixtures/as') ? 'server' : 'upstream';
  const answer = await fetch(new URL('/seen', url)).catch(() => undefined);
  if (answer?.ok) keep(side, script, await answer.text());
}

/** Writes config and policies into a fresh directory; returns {dir, file, listen}. */
async function writeSetup({ config, policies, port }) {
  const dir = mkdtempSync(join(tmpdir(), 'portcullis-e2e-'));
  const listen = `127.0.0.1:${port ?? (await freePort())}`;
  mkdirSync(join(dir, 'policies'));
  writeFileSync(join(dir, 'policies/policy.yaml'), stringify({ version: 1, ...policies }));
  const whole = {
    version: 1,
    listen,
    data_dir: 'data',
    tls: 'self_signed',
    identity: { dev: { enabled: true } },
    policies: ['policies'],
    admin: { listen: '127.0.0.1:0' },
    ...config,
    // The disk of a machine that tests may be slow.
    audit: { intent_timeout: '30s', sinks: [{ file: 'audit' }], ...config?.audit },
  };
  const file = join(dir, 'portcullis.yaml');
  writeFileSync(file, stringify(whole));
  return { dir, file };
}

/** Starts the gateway. `config` is merged over the defaults above. */
export async function startGateway({ config, policies, port, env = {} }) {
  const { dir, file } = await writeSetup({ config, policies, port });
  const started = await spawnReady(BINARY, ['serve', '--config', file], {
    pattern: /^portcullis ready mcp=(\S+) admin=(\S+)$/m,
    env,
    cwd: dir,
    label: 'portcullis',
    side: 'gateway',
  });
  const [, base, admin] = started.match;
  const data = join(dir, 'data');
  const gateway = { dir, file, data, base, admin, ca: join(data, 'tls/ca.pem'), pid: started.child.pid };
  return Object.assign(gateway, {
    log: started.log,
    firstLine: started.firstLine,
    token: options => mintToken(file, options),
    client: (kind, plan, options) => runClient(gateway, kind, plan, options),
    records: () => readRecords(data),
    settledRecords: wanted => settledRecords(data, wanted),
    status: () => processStatus(gateway.pid),
    children: () => childrenOf(gateway.pid),
    end: signal => stopChild(started.child, started.exited, signal),
    stop: async () => {
      if (keeping()) await keepMetrics(gateway);
      const end = await stopChild(started.child, started.exited);
      if (keeping()) for (const path of filesUnder(data)) keep('gateway', path.slice(data.length), readFileSync(path));
      if (!process.env.KEEP_E2E) rmSync(dir, { recursive: true, force: true });
      return end;
    },
  });
}

async function keepMetrics({ admin }) {
  const answer = admin.startsWith('http:') ? await fetch(`${admin}/metrics`).catch(() => undefined) : undefined;
  if (answer?.ok) keep('gateway', 'metrics', await answer.text());
}

/** A development token for {sub, groups, route}. */
async function mintToken(file, { sub, groups = [], route = '/mcp', extra = [] }) {
  const args = ['token', '--config', file, '--sub', sub, '--route', route, ...extra];
  if (groups.length > 0) args.push('--groups', groups.join(','));
  const { stdout } = await promisify(execFile)(BINARY, args);
  clientToken(stdout.trim());
  return stdout.trim();
}

/** Clients by name: script and environment. */
export const CLIENTS = {
  ts1: { script: 'clients/client-ts1.mjs', env: {} },
  ts2: { script: 'clients/client-ts2.mjs', env: { ERA: 'auto' } },
  'ts2-legacy': { script: 'clients/client-ts2.mjs', env: { ERA: 'legacy' } },
};

/** The peer on the Rust SDK: `cargo build --example peer`. */
export const RUST_PEER = resolve(process.env.RUST_PEER ?? join(target, 'debug/examples/peer'));

/** A program on a Python SDK: of 1.x, which lies over what 2.x has, or of 2.x. */
export const python = major => ({ command: peer('.venv/bin/python'), env: major === 1 ? { PYTHONPATH: peer('.python1') } : {} });

const PYTHON_CLIENTS = {
  python1: { ...python(1), script: 'python/client1.py' },
  python2: { ...python(2), script: 'python/client2.py' },
  'python2-legacy': { ...python(2), script: 'python/client2.py', env: { ERA: 'legacy' } },
};

/** The client on the Rust SDK, for those that have it built: the same plans and lines. */
const RUST_CLIENTS = {
  rust: { command: RUST_PEER, env: { ERA: 'discover' } },
  'rust-legacy': { command: RUST_PEER, env: { ERA: 'legacy' } },
};

/**
 * Runs a plan with a client in a process of its own; resolves with its lines. With `oauth` the SDK
 * authorizes by itself, with `links` the client opens links of tools; both need `open(url, kind)`.
 */
export async function runClient(gateway, kind, plan, { token, route = '/mcp', env = {}, oauth, links, open } = {}) {
  const { script, command = process.execPath, env: own } = CLIENTS[kind] ?? PYTHON_CLIENTS[kind] ?? RUST_CLIENTS[kind];
  const child = spawn(command, [script ? peer(script) : 'client', ...(open ? [JSON.stringify(plan)] : [])], {
    env: {
      ...process.env,
      GATEWAY_URL: `${gateway.base}${route}`,
      ...(gateway.ca && { NODE_EXTRA_CA_CERTS: gateway.ca }),
      ...(token && { TOKEN: token }),
      ...(oauth && { OAUTH: JSON.stringify(oauth) }),
      ...(links && { LINKS: '1' }),
      ...own,
      ...env,
    },
    stdio: ['pipe', 'pipe', 'pipe', ...(open ? ['ipc'] : [])],
  });
  running.add(child);
  if (open) answerOpens(child, open);
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', text => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', text => {
    err += text;
  });
  child.stdin.on('error', () => {});
  child.stdin.end(JSON.stringify(plan));
  const code = await new Promise((done, fail) => {
    child.on('error', fail);
    child.on('close', done);
  });
  running.delete(child);
  clientToken(token);
  const lines = out.split('\n').filter(Boolean).map(line => JSON.parse(line));
  if (code !== 0 || lines.at(-1)?.op !== 'http') throw new Error(`client ${kind} ended with ${code}\n${out}\n${err}`);
  for (const { tokens } of lines.filter(({ op }) => op === 'tokens')) {
    for (const { access_token: access, refresh_token: refresh } of tokens) for (const one of [access, refresh]) clientToken(one);
  }
  keep('client', kind, out);
  return lines;
}

/** Opens what a client wants opened: `open(url, kind)`, and tells the client when it is done. */
function answerOpens(child, open) {
  child.on('message', async ({ open: url, kind, id }) => {
    let answer = { opened: id };
    try {
      answer.result = (await open(url, kind)) ?? null;
    } catch (error) {
      answer = { opened: id, error: error.message };
    }
    if (child.connected) child.send(answer, () => {});
  });
}

function filesUnder(dir) {
  return readdirSync(dir, { withFileTypes: true }).flatMap(entry => {
    const path = join(dir, entry.name);
    return entry.isDirectory() ? filesUnder(path) : [path];
  });
}

/** All audit records in order of their files and lines; half a last line is left out. */
function readRecords(data) {
  const names = readdirSync(data).filter(name => name.startsWith('audit')).map(name => join(data, name));
  const files = names.flatMap(path => (statSync(path).isDirectory() ? filesUnder(path) : [path])).sort();
  return files.flatMap(file => {
    const text = readFileSync(file, 'utf8');
    const whole = text.slice(0, text.lastIndexOf('\n') + 1);
    return whole.split('\n').filter(line => line.startsWith('{')).map(line => JSON.parse(line));
  });
}

const REQUEST_KINDS = new Set(['outcome', 'list', 'auth']);

/** The records of requests, intents aside. */
export const requestRecords = records => records.filter(({ kind }) => REQUEST_KINDS.has(kind));

/** Waits until there are `wanted` records of requests and no more follow; returns all records. */
async function settledRecords(data, wanted) {
  const until = Date.now() + RECORDS_MS;
  while (requestRecords(readRecords(data)).length < wanted && Date.now() < until) await sleep(100);
  await sleep(500);
  return readRecords(data);
}

/** Memory of a process in MiB: {rss, peak}. */
function processStatus(pid) {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8');
  const mib = name => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? NaN) / 1024;
  return { rss: mib('VmRSS'), peak: mib('VmHWM') };
}

/** Direct and indirect children of a process: [{pid, command}]. */
function childrenOf(pid) {
  const all = [];
  for (const name of readdirSync('/proc').filter(entry => /^\d+$/.test(entry))) {
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
      const command = readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0').join(' ').trim();
      all.push({ pid: Number(name), parent, command });
    } catch {
      // It ended between the listing and the reading.
    }
  }
  const found = [];
  const parents = [pid];
  while (parents.length > 0) {
    const parent = parents.pop();
    for (const child of all.filter(entry => entry.parent === parent)) {
      found.push(child);
      parents.push(child.pid);
    }
  }
  return found;
}
