// The client scenarios of the conformance suite that exercise a proxy's side towards servers: a gateway is started
// whose upstream is the suite's server, and an SDK client does through it what the scenario wants done.
//   node conformance-client.mjs [scenario ...]       runs the suite on all or these, and judges
//   node conformance-client.mjs --as-client URL      the suite's client command (environment as the suite sets it)
// Exit 0 when the checks that do not pass are exactly those of expected-failures-client.yml, 1 when not, 2
// when a run means nothing.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readExpected } from './conformance.mjs';
import { peer, startGateway } from './harness.mjs';

const SUITE = peer('node_modules/@modelcontextprotocol/conformance/dist/index.js');
const TIMEOUT_MS = 30_000;
const AT_ONCE = 2;
const PASSING = new Set(['SUCCESS', 'INFO']);
const MODERN = '2026-07-28';
const LEGACY = '2025-11-25';

const call = (name, args = {}) => ({ op: 'call', name, args });
const INVALID_TOOLS = [
  ...['empty', 'object', 'array', 'null', 'number'].map(kind => `invalid_${kind}_header`),
  ...['invalid_duplicate_same_case', 'invalid_duplicate_diff_case', 'invalid_space_in_name', 'invalid_colon_in_name'],
  ...['invalid_non_ascii_name', 'invalid_control_char_name'],
];

/**
 * Per scenario: the revision it is run at, what the client does, which of these steps work (`[op, name]`; all the others
 * must fail), and checks that may be skipped because a gateway has no reason for the request.
 */
const SCENARIOS = {
  'request-metadata': {
    revision: MODERN,
    plan: () => [{ op: 'list' }],
    works: ['list'],
    // The suite's server offers nothing, so nothing is asked of it on behalf of the client, which alone has capabilities.
    skipped: ['ClientDeclaresRootsCapability', 'ClientDeclaresSamplingCapability', 'ClientDeclaresElicitationCapability'],
  },
  'http-standard-headers': {
    revision: MODERN,
    plan: () => [
      { op: 'list' },
      call('test_headers'),
      call('my-hyphenated-tool'),
      { op: 'listResources' },
      { op: 'read', uri: 'file:///path/to/file%20name.txt' },
      { op: 'read', uri: 'https://example.com/resource?id=123' },
      { op: 'listPrompts' },
      { op: 'prompt', name: 'test_prompt', args: {} },
    ],
    works: ['list', 'call', 'listResources', 'read', 'listPrompts', 'prompt'],
    // The handshake of sessions: nobody sends it to a server of this revision.
    skipped: ['ClientMcpMethodHeader_initialize', 'ClientMcpMethodHeader_notifications_initialized'],
  },
  'http-custom-headers': {
    revision: MODERN,
    plan: context => [{ op: 'list' }, ...context.toolCalls.map(({ name, arguments: args }) => call(name, args))],
    works: ['list', 'call'],
  },
  'http-invalid-tool-headers': {
    revision: MODERN,
    plan: () => [{ op: 'list' }, call('valid_tool', { region: 'us' }), ...INVALID_TOOLS.map(name => call(name, {}))],
    works: ['list', 'valid_tool'],
  },
  'sep-2322-client-request-state': {
    revision: MODERN,
    plan: () => [
      { op: 'list' },
      call('test_mrtr_echo_state'),
      { op: 'parallel', steps: [call('test_mrtr_no_state'), call('test_mrtr_unrelated')] },
      call('test_mrtr_no_result_type'),
    ],
    works: ['list', 'call'],
  },
  'json-schema-ref-no-deref': { revision: MODERN, plan: () => [{ op: 'list' }], works: ['list'] },
  'sse-retry': { revision: LEGACY, plan: () => [{ op: 'list' }, call('test_reconnection')], works: ['list', 'call'] },
};

const policies = {
  rules: [
    { id: 'all', effect: 'allow', principals: ['any'], tools: ['*'], resources: ['*'], prompts: ['*'], classes: ['read', 'write', 'destructive'] },
    { id: 'may-ask', effect: 'allow', principals: ['any'], capabilities: ['*:elicitation.form', '*:elicitation.url', '*:sampling', '*:roots'] },
  ],
};
const env = {
  CAPABILITIES: JSON.stringify({ elicitation: { form: {} }, sampling: {}, roots: {} }),
  ANSWERS: JSON.stringify({ 'elicitation/create': { action: 'accept', content: { confirmed: true } } }),
};

if (process.argv[2] === '--as-client') await asClient(process.argv.at(-1));
else process.exit(await judgeAll(process.argv.slice(2)));

/** Runs the plan of one scenario through a gateway in front of the suite's server. */
async function asClient(url) {
  const { plan, works } = SCENARIOS[process.env.MCP_CONFORMANCE_SCENARIO];
  const steps = plan(JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}'));
  const outcome = { wrong: [] };
  let gateway;
  try {
    gateway = await startGateway({
      config: {
        tls: 'none',
        routes: [{ path: '/mcp', upstreams: ['suite'], names: 'bare' }],
        upstreams: [{ name: 'suite', http: { url }, allow_private_addresses: true }],
        telemetry: { log: 'debug', log_format: 'json' },
      },
      policies,
    });
    const token = await gateway.token({ sub: 'alice' });
    outcome.lines = await gateway.client('ts2', steps, { token, env });
    for (const { op, name, ok, result } of outcome.lines.slice(1, -1)) {
      const worked = ok && result.isError !== true;
      const wanted = works.includes(op) || works.includes(name);
      if (worked !== wanted) outcome.wrong.push(`${op} ${name ?? ''} ${worked ? 'worked' : 'failed'}`);
    }
  } catch (error) {
    outcome.wrong.push(error.stack);
    process.exitCode = 1;
  } finally {
    if (gateway) outcome.log = gateway.log();
    await gateway?.stop();
  }
  if (process.env.CONFORMANCE_OUTCOME) writeFileSync(process.env.CONFORMANCE_OUTCOME, JSON.stringify(outcome, null, 1));
}

/** Runs one scenario of the suite; resolves with {scenario, checks, broken?}. */
async function runScenario(scenario, out) {
  const dir = join(out, scenario);
  mkdirSync(dir, { recursive: true });
  const file = join(dir, 'outcome.json');
  const command = `${process.execPath} ${fileURLToPath(import.meta.url)} --as-client`;
  const { revision, skipped = [] } = SCENARIOS[scenario];
  const args = ['client', '--command', command, '--scenario', scenario, '--spec-version', revision, '--timeout', String(TIMEOUT_MS), '-o', dir];
  const child = spawn(process.execPath, [SUITE, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, CONFORMANCE_OUTCOME: file },
  });
  let log = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', chunk => (log += chunk));
  await new Promise((done, fail) => child.on('error', fail).on('close', done));
  writeFileSync(join(dir, 'suite.log'), log);
  const run = readdirSync(dir).find(name => name.startsWith(`${scenario}-`) && existsSync(join(dir, name, 'checks.json')));
  if (!run || !existsSync(file)) return { scenario, checks: [], broken: `no result, see ${dir}/suite.log` };
  const told = JSON.parse(readFileSync(join(dir, run, 'checks.json'), 'utf8'));
  const checks = told
    .filter(({ status, name }) => status !== 'SKIPPED' || !skipped.includes(name))
    .map(({ id, status, errorMessage, description }) => ({ id, passed: PASSING.has(status), error: `${status}: ${errorMessage ?? description}` }));
  const { wrong } = JSON.parse(readFileSync(file, 'utf8'));
  checks.push({ id: 'steps', passed: wrong.length === 0, error: wrong.join('; ') });
  return { scenario, checks };
}

async function judgeAll(chosen) {
  const unknown = chosen.filter(name => !SCENARIOS[name]);
  if (unknown.length > 0) {
    console.error(`no such scenario: ${unknown.join(' ')} (there are ${Object.keys(SCENARIOS).join(' ')})`);
    return 2;
  }
  const results = peer('results');
  mkdirSync(results, { recursive: true });
  const out = mkdtempSync(join(results, 'client-'));
  const started = performance.now();
  const queue = chosen.length > 0 ? [...chosen] : Object.keys(SCENARIOS);
  const runs = [];
  const worker = async () => {
    for (let name = queue.shift(); name !== undefined; name = queue.shift()) runs.push(await runScenario(name, out));
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  const seconds = Math.round((performance.now() - started) / 100) / 10;
  const code = report(runs, seconds);
  if (code === 0) rmSync(out, { recursive: true, force: true });
  else console.log(`results: ${out}`);
  return code;
}

function report(runs, seconds) {
  const expected = readExpected(peer('expected-failures-client.yml')).filter(entry => runs.some(run => run.scenario === entry.scenario));
  const failed = [];
  let passed = 0;
  for (const { scenario, checks } of runs) {
    const ids = [...new Set(checks.map(({ id }) => id))];
    for (const check of ids) {
      // One check can be reported several times: once bad is bad.
      const bad = checks.find(({ id, passed: good }) => id === check && !good);
      if (bad) failed.push({ scenario, check, error: bad.error });
      else passed += 1;
    }
  }
  const broken = runs.filter(run => run.broken);
  const same = (a, b) => a.scenario === b.scenario && a.check === b.check;
  const unexpected = failed.filter(entry => !expected.some(other => same(other, entry)));
  const stale = expected.filter(entry => !failed.some(other => same(other, entry)));
  console.log(`client conformance: ${runs.length} scenarios, ${passed} checks pass, ${failed.length} do not, expected ${expected.length} (${seconds} s)`);
  for (const { scenario, broken: why } of broken) console.log(`  BROKEN ${scenario}: ${why}`);
  for (const { scenario, check, error } of unexpected) console.log(`  FAILED ${scenario}/${check}: ${error.slice(0, 400)}`);
  for (const { scenario, check } of stale) console.log(`  STALE ${scenario}/${check}: it passes, or is gone: remove it`);
  if (broken.length > 0) return 2;
  return unexpected.length + stale.length > 0 ? 1 : 0;
}
