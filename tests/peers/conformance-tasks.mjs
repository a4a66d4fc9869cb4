// The conformance scenarios of the extension io.modelcontextprotocol/tasks, each direct and through the gateway.
// Exits 1 when a check that passes direct does not pass through; 2 when nothing passes direct.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PASSING, SUITE, compare, readChecks } from './conformance.mjs';
import { freePort, startGateway, startServer } from './harness.mjs';

const SCENARIOS = [
  'lifecycle',
  'capability-negotiation',
  'wire-fields',
  'request-state-removal',
  'mrtr-input',
  'request-headers',
  'dispatch-and-envelope',
  'status-notifications',
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

async function all(url) {
  const out = mkdtempSync(join(tmpdir(), 'tasks-'));
  for (const name of SCENARIOS) await scenario(name, url, out);
  const checks = readChecks(out);
  rmSync(out, { recursive: true, force: true });
  return checks;
}

const fixture = await startServer('fixtures/tasks-2026.mjs');
const port = await freePort();
const config = {
  tls: 'none',
  allowed_origins: [`http://127.0.0.1:${port}`],
  identity: { anonymous: true },
  routes: [{ path: '/tasks', upstreams: ['tasks'], names: 'bare' }],
  upstreams: [{ name: 'tasks', http: { url: fixture.url } }],
};
const gateway = await startGateway({ config, policies, port });
let lost = [];
let passing = 0;
try {
  const [direct, through] = await Promise.all([all(fixture.url), all(`${gateway.base}/tasks`)]);
  for (const name of SCENARIOS) {
    const score = checks => {
      const own = checks.filter(check => check.scenario === name);
      return `${own.filter(({ status }) => PASSING.has(status)).length}/${own.length}`;
    };
    console.log(`${name}: direct ${score(direct)}, through ${score(through)}`);
  }
  for (const { scenario: name, id, status, error } of direct) {
    if (!PASSING.has(status) && status !== 'SKIPPED') console.log(`direct ${name}/${id}: ${status}: ${error}`);
  }
  passing = direct.filter(({ status }) => status === 'SUCCESS').length;
  lost = compare(direct, through);
  for (const { scenario: name, check, error } of lost) console.log(`lost ${name}/${check}: ${error}`);
} finally {
  await gateway.stop();
  await fixture.stop();
}
process.exit(passing === 0 ? 2 : Math.min(lost.length, 1));
