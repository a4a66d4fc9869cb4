// The search for tokens finds what is planted, everywhere; and a gateway at its most talkative plants nothing.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { piecesOf, search } from '../canary.mjs';
import { ScriptedAs } from '../scripted-as.mjs';
import { echo, rpc, startGuarded } from './oauth.mjs';

describe('the search', () => {
  let as;
  let token;
  const opaque = randomBytes(32).toString('base64url');
  before(async () => {
    as = await ScriptedAs.start();
    token = await as.mint({ aud: 'https://gateway.example/mcp' });
  });
  after(() => as?.stop());

  /** What is found when `files` ({side/name: text}) were kept. */
  function searched(files) {
    const dir = mkdtempSync(join(tmpdir(), 'portcullis-canary-test-'));
    try {
      writeFileSync(join(dir, 'client-tokens-1'), `${token}\n`);
      const all = { 'upstream/shown': JSON.stringify({ authorization: `Bearer ${opaque}` }), ...files };
      for (const [name, text] of Object.entries(all)) {
        mkdirSync(join(dir, name.split('/')[0]), { recursive: true });
        writeFileSync(join(dir, name), text);
      }
      return search(dir).findings;
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  }

  test('is quiet about what may be there', () => {
    assert.deepEqual(searched({ 'gateway/log': 'nothing of interest', 'client/told': token, 'server/asked': token }), []);
  });

  const planted = {
    'a client token in a log': () => ({ 'gateway/log': `error: ${token} was bad` }),
    '12 bytes of the signature in a record': () => ({ 'gateway/audit': `{"x":"${token.split('.')[2].slice(20, 32)}"}` }),
    'its payload in a state file': () => ({ 'gateway/state.db': `\0\0${token.split('.')[1]}\0` }),
    'a client token at an upstream': () => ({ 'upstream/seen': JSON.stringify({ headers: { authorization: `Bearer ${token}` } }) }),
    'a client token in the body of an upstream request': () => ({ 'upstream/seen': JSON.stringify({ body: `{"a":"${token}"}` }) }),
    'an upstream token at a client': () => ({ 'client/told': `{"text":"${opaque}"}` }),
    'an upstream token in a metric': () => ({ 'gateway/metrics': `x{token="${opaque.slice(3, 17)}"} 1` }),
  };
  for (const [name, files] of Object.entries(planted)) {
    test(`finds ${name}`, () => assert.ok(searched(files()).length > 0));
  }

  test('takes all that is random as a piece', () => {
    assert.ok([...piecesOf(opaque)].length >= opaque.length - 13);
    assert.ok([...piecesOf(token)].length > 90);
  });
});

describe('a talkative gateway', () => {
  test('says nothing of tokens, whatever happens to them', async () => {
    const as = await ScriptedAs.start();
    const bearer = randomBytes(32).toString('base64url');
    const world = await startGuarded({
      issuers: [{ issuer: as.issuer, jwks: as.jwksUri, algorithms: ['ES256'] }],
      upstream: { credential: { bearer: '${env:UPSTREAM_BEARER}' } },
      env: { UPSTREAM_BEARER: bearer },
      config: { telemetry: { log: 'debug' } },
    });
    try {
      const aud = `${world.gateway.base}/mcp`;
      const good = { aud, claims: { groups: ['eng'], scope: 'mcp:read' } };
      const tokens = {
        200: [await as.mint(good)],
        401: [
          await as.mint({ ...good, lifetime: -600 }),
          await as.mint({ ...good, aud: 'https://elsewhere.example' }),
          await as.mint({ ...good, key: await as.strange() }),
          `${await as.mint(good)}x`,
          randomBytes(32).toString('base64url'),
        ],
        403: [await as.mint({ aud, claims: { groups: ['eng'], scope: 'other' } })],
      };
      for (const [status, list] of Object.entries(tokens)) {
        for (const token of list) assert.equal((await echo(world.gateway, { token })).status, Number(status));
      }
      const token = tokens[200][0];
      const places = [
        rpc(world.gateway, 'tools/call', { name: 'strict__echo', arguments: { message: 'x' } }, { headers: { authorization: token } }),
        rpc(world.gateway, 'tools/call', { name: 'strict__echo', arguments: { message: 'x' } }, { headers: { cookie: `token=${token}`, 'x-token': token } }),
        rpc(world.gateway, 'tools/call', { name: 'strict__echo', arguments: { message: 'x' } }, { route: `/mcp?access_token=${token}` }),
        rpc(world.gateway, 'tools/list', {}, { route: `/${token}` }),
      ];
      for (const answer of await Promise.all(places)) assert.ok(answer.status >= 400, `${answer.status}`);
      const { requests } = await world.strict.seen();
      assert.ok(requests.some(({ headers }) => headers.authorization === `Bearer ${bearer}`), 'the upstream is shown its own');
    } finally {
      await world.stop();
      await as.stop();
    }
  });
});
