// The conformance scenarios of the extension io.modelcontextprotocol/tasks, each direct and through the gateway, compared
// check by check. Exits as conformance.mjs.
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { SUITE, judge, readChecks } from './conformance.mjs';
import { freePort, peer, startGateway, startServer } from './harness.mjs';

// Without status-notifications, which the suite skips whatever the server does.
const SCENARIOS = [
  'lifecycle',
  'capability-negotiation',
  'wire-fields',
  'request-state-removal',
  'mrtr-input',
  'request-headers',
  'dispatch-and-envelope',
  'required-task-error',
  'mrtr-composition',
].map(name => `tasks-${name}`);

const policies = {
  rules: [
    { id: 'all', effect: 'allow', principals: ['any'], tools: ['*'], classes: ['read', 'write', 'destructive'] },
    { id: 'may-ask', effect: 'allow', principals: ['any'], capabilities: ['*:elicitation.form', '*:sampling'] },
  ],
};

function scenario(name, url, out) {
  const args = ['server', '--url', url, '--scenario', name, '--spec-version', '2026-07-28', '--force', '-o', out];
  const child = spawn(process.execPath, [join(SUITE, 'dist/index.js'), ...args], { stdio: 'ignore' });
  return new Promise((done, fail) => child.on('error', fail).on('close', done));
}

async function all(which, url) {
  const own = mkdtempSync(join(out, `${which}-`));
  for (const name of SCENARIOS) await scenario(name, url, own);
  return readChecks(own);
}

const started = performance.now();
const results = peer('results');
mkdirSync(results, { recursive: true });
const out = mkdtempSync(join(results, 'tasks-'));
const fixture = await startServer('fixtures/tasks-2026.mjs');
const port = await freePort();
const config = {
  tls: 'none',
  allowed_origins: [`http://127.0.0.1:${port}`],
  identity: { anonymous: true },
  routes: [{ path: '/tasks', upstreams: ['tasks'], names: 'bare' }],
  upstreams: [{ name: 'tasks', http: { url: fixture.url } }],
};
let gateway;
let code = 2;
try {
  gateway = await startGateway({ config, policies, port });
  const [before, after] = await Promise.all([all('direct', fixture.url), all('through', `${gateway.base}/tasks`)]);
  const seconds = Math.round((performance.now() - started) / 100) / 10;
  code = judge({ name: 'tasks', required: SCENARIOS, before, after, expected: peer('expected-failures-tasks.yml'), out, seconds });
} finally {
  await gateway?.stop();
  await fixture.stop();
}
if (code === 0) rmSync(out, { recursive: true, force: true });
else console.log(`results: ${out}`);
process.exit(code);
