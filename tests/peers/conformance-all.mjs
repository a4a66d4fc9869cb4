// Both conformance sets, each direct and through one gateway with a bare-names route
// per fixture. Results go to results/; exits with the worst of the two.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { judge } from './conformance.mjs';
import { freePort, peer, startGateway, startServer } from './harness.mjs';

const TIMEOUT_MS = 20_000;
const REVISIONS = ['2025-11-25', '2026-07-28'];

const fixtureOf = revision => `fixture-${revision.slice(0, 4)}`;

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

const results = peer('results');
mkdirSync(results, { recursive: true });
const out = mkdtempSync(join(results, 'run-'));
const fixtures = await Promise.all(
  REVISIONS.map(async revision => {
    const name = fixtureOf(revision);
    return { revision, name, ...(await startServer(`fixtures/${name}.mjs`)) };
  }),
);
let gateway;
let worst = 2;
try {
  const port = await freePort();
  gateway = await startGateway({ config: config(fixtures, port), policies, port });
  const codes = await Promise.all(
    fixtures.map(({ revision, name, url }) =>
      judge({
        revision,
        direct: url,
        through: `${gateway.base}/${name}`,
        expected: peer(`expected-failures-${revision}.yml`),
        out,
        timeout: TIMEOUT_MS,
      }),
    ),
  );
  worst = Math.max(...codes);
} finally {
  await gateway?.stop();
  for (const { stop } of fixtures) await stop();
}
if (worst === 0) rmSync(out, { recursive: true, force: true });
else console.log(`results: ${out}`);
process.exit(worst);
