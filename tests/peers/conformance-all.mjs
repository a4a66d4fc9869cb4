// Both conformance sets through one gateway with a bare-names route per fixture: each over the fixture of its own
// revision and over the fixture of the other one, compared check by check with the set run against its own fixture
// directly. Results go to results/; exits with the worst.
//   node conformance-all.mjs [name of a run, as 2026-07-28-over-2025-11-25 ...]
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { judge, runSuite } from './conformance.mjs';
import { freePort, peer, startGateway, startServer } from './harness.mjs';

const TIMEOUT_MS = 20_000;
const REVISIONS = ['2025-11-25', '2026-07-28'];

const fixtureOf = revision => `fixture-${revision.slice(0, 4)}`;

const RUNS = REVISIONS.flatMap(revision =>
  REVISIONS.map(served => ({ revision, served, name: revision === served ? revision : `${revision}-over-${served}` })),
);

// The suite sends no token, needs a plain localhost URL and sends the Origin of that URL.
const config = (fixtures, port) => ({
  tls: 'none',
  allowed_origins: [`http://127.0.0.1:${port}`],
  identity: { anonymous: true },
  routes: fixtures.map(({ name }) => ({ path: `/${name}`, upstreams: [name], names: 'bare' })),
  upstreams: fixtures.map(({ name, url }) => ({ name, http: { url } })),
  limits: { sessions_per_principal: 1024 },
});
const policies = {
  rules: [
    {
      id: 'conformance',
      effect: 'allow',
      principals: ['any'],
      tools: ['*'],
      resources: ['*'],
      prompts: ['*'],
      classes: ['read', 'write', 'destructive'],
    },
    {
      id: 'may-ask',
      effect: 'allow',
      principals: ['any'],
      capabilities: ['*:elicitation.form', '*:elicitation.url', '*:sampling', '*:roots'],
    },
  ],
};

const chosen = process.argv.slice(2);
const unknown = chosen.filter(name => !RUNS.some(run => run.name === name));
if (unknown.length > 0) {
  console.error(`no such run: ${unknown.join(' ')} (there are ${RUNS.map(({ name }) => name).join(' ')})`);
  process.exit(2);
}
const runs = RUNS.filter(({ name }) => chosen.length === 0 || chosen.includes(name));
const results = peer('results');
mkdirSync(results, { recursive: true });
const out = mkdtempSync(join(results, 'run-'));
const fixtures = await Promise.all(
  REVISIONS.map(async revision => {
    const name = fixtureOf(revision);
    return { revision, name, ...(await startServer(`fixtures/${name}.mjs`)) };
  }),
);

/** One set against one URL: its checks, and how long it took. */
async function suite(name, revision, url) {
  const started = performance.now();
  const checks = await runSuite(url, { revision, timeout: TIMEOUT_MS, out: mkdtempSync(join(out, `${name}-`)) });
  return { checks, seconds: Math.round((performance.now() - started) / 100) / 10 };
}

let gateway;
let worst = 2;
try {
  const port = await freePort();
  gateway = await startGateway({ config: config(fixtures, port), policies, port });
  const wanted = fixtures.filter(({ revision }) => runs.some(run => run.revision === revision));
  const direct = await Promise.all(wanted.map(({ revision, url }) => suite(`direct-${revision}`, revision, url)));
  const codes = [];
  for (const served of REVISIONS) {
    const group = runs.filter(run => run.served === served);
    codes.push(
      ...(await Promise.all(
        group.map(async ({ name, revision }) => {
          const { checks: after, seconds } = await suite(`through-${name}`, revision, `${gateway.base}/${fixtureOf(served)}`);
          const before = direct[wanted.findIndex(fixture => fixture.revision === revision)].checks;
          return judge({ name, revision, before, after, expected: peer(`expected-failures-${name}.yml`), out, seconds });
        }),
      )),
    );
  }
  worst = Math.max(...codes);
} finally {
  await gateway?.stop();
  for (const { stop } of fixtures) await stop();
}
if (worst === 0) rmSync(out, { recursive: true, force: true });
else console.log(`results: ${out}`);
process.exit(worst);
