// The authorization scenarios of the conformance suite, check by check: the gateway as OAuth client
// towards the suite's authorization servers, and its own authorization server (`authorization` mode).
//   node conformance-auth.mjs [--reference] [scenario ...]
// Exit 0 when the checks that do not pass are exactly those of expected-failures-auth.yml, 1 when not, 2
// when a run means nothing. --reference runs an SDK client instead of the gateway and only reports.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { parse } from 'yaml';
import { Browser } from './browserless.mjs';
import { readExpected } from './conformance.mjs';
import { freePort, peer, startGateway } from './harness.mjs';
import { ScriptedAs } from './scripted-as.mjs';

const REVISION = '2026-07-28';
const SUITE = peer('node_modules/@modelcontextprotocol/conformance');
const TIMEOUT_MS = 30_000;
const AT_ONCE = 3;
const PASSING = new Set(['SUCCESS', 'INFO']);
const EXTENSIONS = ['auth/client-credentials-basic', 'auth/client-credentials-jwt', 'auth/enterprise-managed-authorization'];
/** In these the call must not work: the suite's servers are not to be trusted, or never satisfied. */
const REFUSED = new Set([
  'auth/resource-mismatch',
  'auth/scope-retry-limit',
  'auth/iss-supported-missing',
  'auth/iss-wrong-issuer',
  'auth/iss-unexpected',
  'auth/iss-normalized',
  'auth/metadata-issuer-mismatch',
]);
const SERVER_SCENARIOS = ['authorization-server-metadata-endpoint', 'authorization-code-grant'];

const { values, positionals } = parseArgs({ allowPositionals: true, options: { reference: { type: 'boolean', default: false } } });

/** Runs the suite with `args`; resolves with its output, which `onOutput` sees as it grows. */
function suite(args, { env = {}, onOutput = () => {} } = {}) {
  const child = spawn(process.execPath, [join(SUITE, 'dist/index.js'), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  let log = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', chunk => {
      log += chunk;
      onOutput(log);
    });
  }
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', () => resolve(log));
  });
}

const check = (id, passed, error) => ({ id, status: passed ? 'SUCCESS' : 'FAILURE', error: passed ? undefined : error });

/** The checks.json of the only run below `dir` whose name starts with `prefix`. */
function readChecks(dir, prefix) {
  const run = readdirSync(dir).find(name => name.startsWith(`${prefix}-`) && existsSync(join(dir, name, 'checks.json')));
  if (!run) return undefined;
  return JSON.parse(readFileSync(join(dir, run, 'checks.json'), 'utf8')).map(({ id, status, errorMessage, description }) => ({
    id,
    status,
    error: errorMessage ?? description,
  }));
}

/** One client scenario: its checks, and ours about the call. */
async function asClient(scenario, out) {
  const dir = join(out, scenario.replaceAll('/', '-'));
  mkdirSync(join(dir, 'auth'), { recursive: true });
  const outcomeFile = join(dir, 'outcome.json');
  const command = `${process.execPath} ${peer('conformance-auth-client.mjs')}`;
  const args = ['client', '--command', command, '--scenario', scenario, '--spec-version', REVISION, '--timeout', String(TIMEOUT_MS), '-o', dir];
  const env = { CONFORMANCE_OUTCOME: outcomeFile, ...(values.reference && { CONFORMANCE_REFERENCE: '1' }) };
  const log = await suite(EXTENSIONS.includes(scenario) ? args.toSpliced(5, 2) : args, { env });
  writeFileSync(join(dir, 'suite.log'), log);
  const [group, name] = scenario.split('/');
  const checks = readChecks(join(dir, group), name);
  if (!checks || !existsSync(outcomeFile)) return { scenario, broken: `no result, see ${dir}/suite.log`, checks: checks ?? [] };
  const outcome = JSON.parse(readFileSync(outcomeFile, 'utf8'));
  const wanted = !REFUSED.has(scenario);
  const failed = outcome.broken ?? `call ${outcome.worked ? 'worked' : 'failed'} after ${outcome.links.length} links`;
  return { scenario, checks: [...checks, check('call-outcome', outcome.worked === wanted && !outcome.broken, failed)] };
}

/** The gateway's own authorization server, with a configured client and with one that registers. */
async function asServer(out) {
  const idp = await ScriptedAs.start();
  const callback = await freePort();
  const redirect = `http://127.0.0.1:${callback}/callback`;
  const results = [];
  let gateway;
  try {
    gateway = await startGateway({
      config: {
        authserver: {
          enabled: true,
          upstream: { issuer: idp.issuer, client_id: 'gateway', client_secret: 'gateway-secret-at-the-identity-provider', scopes: ['openid', 'profile'] },
          cimd: { enabled: true, allow: ['clients.example.com'] },
          dcr: { enabled: true },
          clients: [{ client_id: 'known', name: 'Known client', redirect_uris: [redirect] }],
          scopes: { 'mcp:read': 'Read tools' },
        },
        identity: { issuers: [] },
        routes: [{ path: '/mcp', upstreams: ['none'], scopes: ['mcp:read'] }],
        upstreams: [{ name: 'none', http: { url: 'http://127.0.0.1:9/mcp' } }],
      },
      policies: { rules: [{ id: 'all', effect: 'allow', principals: ['any'], tools: ['*'] }] },
    });
    for (const kind of ['configured', 'registered']) {
      const dir = join(out, `authorization-${kind}`);
      mkdirSync(dir, { recursive: true });
      const browser = new Browser({ ca: [gateway.ca] });
      const id = kind === 'configured' ? 'known' : await register(browser, gateway, redirect);
      const args = ['authorization', '--url', gateway.base, '--client-id', id, '--resource', `${gateway.base}/mcp`, '-p', String(callback), '-o', dir];
      let opened;
      const onOutput = log => {
        const link = /^(https:\S+response_type=code\S+)$/m.exec(log)?.[1];
        // Without the redirect back the suite waits for minutes: say what happened instead.
        if (link && !opened) opened = browser.approve(link).catch(error => fetch(`${redirect}?error=${encodeURIComponent(error.message)}`));
      };
      const log = await suite(args, { env: { NODE_EXTRA_CA_CERTS: gateway.ca }, onOutput });
      writeFileSync(join(dir, 'suite.log'), `${log}\n${JSON.stringify(browser.history, null, 1)}\n${gateway.log()}`);
      for (const scenario of SERVER_SCENARIOS) {
        const checks = readChecks(dir, `authorization-server-${scenario}`);
        results.push({ scenario: `${kind}/${scenario}`, checks: checks ?? [], broken: checks ? undefined : `no result, see ${dir}/suite.log` });
      }
    }
  } catch (error) {
    results.push({ scenario: 'authorization', checks: [check('start', false, error.message.slice(0, 1000))] });
  } finally {
    await gateway?.stop();
    await idp.stop();
  }
  return results;
}

async function register(browser, gateway, redirect) {
  const metadata = { client_name: 'Registered client', redirect_uris: [redirect], token_endpoint_auth_method: 'none', application_type: 'native' };
  const answer = await browser.request(`${gateway.base}/oauth/register`, { method: 'POST', json: metadata });
  if (answer.status !== 201) throw new Error(`registration: ${answer.status} ${answer.text}`);
  return JSON.parse(answer.text).client_id;
}

async function inTurns(items, work) {
  const results = [];
  const queue = [...items];
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) results.push(await work(item));
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return results.sort((a, b) => (a.scenario < b.scenario ? -1 : 1));
}

const required = parse(readFileSync(join(SUITE, `requirements/${REVISION}.yaml`), 'utf8')).client.filter(name => name.startsWith('auth/'));
const all = [...required, ...EXTENSIONS];
const unknown = positionals.filter(name => !all.includes(name) && name !== 'authorization');
if (unknown.length > 0) {
  console.error(`no such scenario: ${unknown.join(' ')}`);
  process.exit(2);
}
const wanted = positionals.length > 0 ? all.filter(name => positionals.includes(name)) : all;
const results = peer('results');
mkdirSync(results, { recursive: true });
const out = mkdtempSync(join(results, 'auth-'));

const started = performance.now();
const runs = await inTurns(wanted, scenario => asClient(scenario, out));
if (!values.reference && (positionals.length === 0 || positionals.includes('authorization'))) runs.push(...(await asServer(out)));
process.exit(report(runs));

function report(all) {
  const expected = readExpected(peer('expected-failures-auth.yml')).filter(({ scenario }) => all.some(run => run.scenario === scenario));
  const failed = [];
  let passed = 0;
  for (const { scenario, checks } of all) {
    // One check can be reported several times: once bad is bad.
    const bad = new Map(checks.filter(({ status }) => !PASSING.has(status)).map(entry => [entry.id, entry]));
    for (const entry of bad.values()) failed.push({ scenario, check: entry.id, error: `${entry.status}: ${entry.error ?? ''}` });
    passed += new Set(checks.map(({ id }) => id)).size - bad.size;
  }
  const broken = all.filter(run => run.broken || !run.checks.some(({ status }) => status === 'SUCCESS' || status === 'FAILURE'));
  const same = (a, b) => a.scenario === b.scenario && a.check === b.check;
  const unexpected = failed.filter(entry => !expected.some(other => same(other, entry)));
  const stale = expected.filter(entry => !failed.some(other => same(other, entry)));
  const seconds = Math.round((performance.now() - started) / 100) / 10;
  console.log(`authorization conformance: ${all.length} scenarios, ${passed} checks pass, ${failed.length} do not, expected ${expected.length} (${seconds} s)`);
  for (const { scenario, broken: why } of broken) console.log(`  BROKEN ${scenario}: ${why ?? 'no check'}`);
  for (const { scenario, check: id, error } of unexpected) console.log(`  FAILED ${scenario}/${id}: ${error.slice(0, 400)}`);
  for (const { scenario, check: id } of stale) console.log(`  STALE ${scenario}/${id}: it passes, or is gone: remove it`);
  const code = broken.length > 0 ? 2 : unexpected.length + stale.length > 0 ? 1 : 0;
  if (code === 0) rmSync(out, { recursive: true, force: true });
  else console.log(`results: ${out}`);
  return values.reference ? 0 : code;
}
