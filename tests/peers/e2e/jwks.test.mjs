// Keys of an issuer that breaks in every way while the gateway runs: known keys go on, hostile
// tokens cannot make it fetch, and it recovers soon.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { sleep } from '../harness.mjs';
import { ScriptedAs } from '../scripted-as.mjs';
import { echo, policies, startGuarded } from './oauth.mjs';

const UNKNOWN = 200;
const AT_ONCE = 20;
const FETCHES_MAX = 5;
const RECOVERY_MS = 10_000;
const BROKEN = ['down', 'garbage', 'hang', 'error', 'redirect', 'empty', 'symmetric', 'huge'];

/** `work(n)` for n below `count`, some at once; resolves with the results. */
async function many(count, work) {
  const results = [];
  let next = 0;
  const worker = async () => {
    while (next < count) {
      const n = next;
      next += 1;
      results.push(await work(n));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return results;
}

/** Until a token of `key` is taken; resolves with the milliseconds. */
async function accepted(as, gateway, aud) {
  const started = performance.now();
  let answer;
  while (performance.now() - started < RECOVERY_MS) {
    answer = await echo(gateway, { token: await as.mint({ aud, claims: CLAIMS }) });
    if (answer.status === 200) return performance.now() - started;
    await sleep(200);
  }
  assert.fail(`not accepted within ${RECOVERY_MS} ms: ${answer.status} ${answer.text}`);
}

const CLAIMS = { groups: ['eng'], scope: 'mcp:read' };

for (const how of ['given', 'discovered']) {
  // One gateway with an issuer for every way to break, all at once: none may be another one's trouble.
  describe(`keys at a ${how} address`, { concurrency: true }, () => {
    const servers = {};
    let world;
    let aud;
    before(async () => {
      for (const mode of [...BROKEN, 'withdrawn']) servers[mode] = await ScriptedAs.start();
      const issuers = Object.values(servers).map(({ issuer, jwksUri }) => ({
        issuer,
        ...(how === 'given' && { jwks: jwksUri }),
        algorithms: ['ES256'],
      }));
      const groups = { engineering: { claim: 'groups', any_of: ['eng'], issuer: issuers.map(({ issuer }) => issuer) } };
      world = await startGuarded({ issuers, policies: { ...policies, groups } });
      aud = `${world.gateway.base}/mcp`;
    });
    after(async () => {
      await world?.stop();
      for (const as of Object.values(servers)) await as.stop();
    });

    for (const mode of BROKEN) {
      test(`${mode} (${how}): known keys go on, unknown ones cost no fetches, and it recovers`, async () => {
        const as = servers[mode];
        await accepted(as, world.gateway, aud);
        const known = as.keys[0];
        as.mode = mode;
        if (mode === 'down') as.cut();
        const fetched = { ...as.fetched };
        const stranger = await as.strange();
        const token = n => as.mint({ aud, claims: CLAIMS, key: { ...stranger, kid: `unknown-${mode}-${n}` } });
        const unknown = await many(UNKNOWN, async n => (await echo(world.gateway, { token: await token(n) })).status);
        assert.deepEqual([...new Set(unknown)], [401]);
        const still = await many(20, async () => (await echo(world.gateway, { token: await as.mint({ aud, claims: CLAIMS, key: known }) })).status);
        assert.deepEqual([...new Set(still)], [200]);
        const cost = as.fetched.jwks - fetched.jwks + as.fetched.metadata - fetched.metadata;
        assert.ok(cost <= FETCHES_MAX, `${cost} fetches`);
        assert.equal(as.fetched.elsewhere, undefined, 'a redirect was followed');
        await as.rotate();
        as.mode = 'ok';
        await accepted(as, world.gateway, aud);
      });
    }

    test(`withdrawn (${how}): a key that is gone is not trusted any longer`, async () => {
      const as = servers.withdrawn;
      await accepted(as, world.gateway, aud);
      const old = as.keys[0];
      await as.rotate({ only: true });
      await accepted(as, world.gateway, aud);
      // A fresh token, so that no cache of verified ones answers.
      const answer = await echo(world.gateway, { token: await as.mint({ aud, claims: CLAIMS, key: old }) });
      assert.equal(answer.status, 401, answer.text);
    });
  });
}

describe('an issuer that is away at the start', () => {
  test('the gateway starts, refuses, and takes tokens once the issuer is there', async () => {
    const as = await ScriptedAs.start();
    as.mode = 'down';
    const world = await startGuarded({ issuers: [{ issuer: as.issuer, jwks: as.jwksUri, algorithms: ['ES256'] }] });
    try {
      const aud = `${world.gateway.base}/mcp`;
      const early = await echo(world.gateway, { token: await as.mint({ aud, claims: CLAIMS }) });
      assert.ok([401, 503].includes(early.status), `${early.status}`);
      assert.equal((await world.strict.seen()).requests.filter(({ headers }) => headers['mcp-method'] === 'tools/call').length, 0);
      as.mode = 'ok';
      await accepted(as, world.gateway, aud);
    } finally {
      await world.stop();
      await as.stop();
    }
  });
});
