// Opaque tokens: the gateway asks the authorization server that issued them.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Browser } from '../browserless.mjs';
import { freePort, sleep } from '../harness.mjs';
import { line, said, stepsOf } from './expect.mjs';
import { SERVERS, echo, startGuarded, tokenFor } from './oauth.mjs';

const RESOURCE_SERVER = { client_id: 'gateway-rs', client_secret: 'gateway-rs-secret-gateway-rs-secret' };
const CACHE_S = 2;
const REVOKED_MS = 8_000;

for (const [name, server] of Object.entries(SERVERS)) {
  describe(`opaque tokens of ${name}`, () => {
    let as;
    let world;
    let aud;
    const asked = async () => (await as.seen()).requests.filter(({ url }) => url.startsWith(server.introspection));
    before(async () => {
      const port = await freePort();
      aud = `https://127.0.0.1:${port}/mcp`;
      as = await server.start({
        opaque: true,
        resources: { [aud]: { format: 'opaque' }, 'https://elsewhere.example/mcp': { format: 'opaque' } },
        clients: [{ ...RESOURCE_SERVER, redirect_uris: [], response_types: [], grant_types: ['client_credentials'] }],
      });
      const introspection = { url: `${as.origin}${server.introspection}`, ...RESOURCE_SERVER, cache: `${CACHE_S}s` };
      world = await startGuarded({ port, issuers: [{ issuer: as.origin, jwks: `${as.origin}${server.jwks}`, algorithms: server.algorithms, introspection }] });
    });
    after(async () => {
      await world?.stop();
      await as?.stop();
    });

    test('an SDK client authorizes and calls', async () => {
      const open = async url => void (await new Browser().approve(url));
      const call = { op: 'call', name: 'strict__echo', args: { message: 'opaque' } };
      const lines = await world.gateway.client('ts2', [call], { oauth: {}, open });
      stepsOf(lines);
      assert.equal(said(line(lines, 'call', call.name)), 'opaque');
    });

    test('a repeated token is asked about once', async () => {
      const { access_token: token } = await tokenFor(as, server, { resource: aud });
      await as.reset();
      for (let at = 0; at < 5; at += 1) assert.equal((await echo(world.gateway, { token })).status, 200);
      const requests = await asked();
      assert.equal(requests.length, 1);
      assert.match(requests[0].headers.authorization ?? requests[0].body, /^Basic |client_secret=/, 'the gateway proves who asks');
      assert.ok(!JSON.stringify(await world.strict.seen()).includes(token.slice(0, 12)), 'the token upstream');
    });

    test('a revoked token is refused soon', async () => {
      const { access_token: token, client_id: client } = await tokenFor(as, server, { resource: aud });
      assert.equal((await echo(world.gateway, { token })).status, 200);
      const revoked = await fetch(`${as.origin}${server.revocation}`, { method: 'POST', body: new URLSearchParams({ token, client_id: client }) });
      assert.equal(revoked.status, 200);
      const until = Date.now() + REVOKED_MS;
      let status = 200;
      while (status === 200 && Date.now() < until) {
        await sleep(300);
        status = (await echo(world.gateway, { token })).status;
      }
      assert.equal(status, 401);
    });

    test('a token for another resource is refused', async () => {
      const { access_token: token } = await tokenFor(as, server, { resource: 'https://elsewhere.example/mcp' });
      await world.strict.reset();
      const answer = await echo(world.gateway, { token });
      assert.equal(answer.status, 401, answer.text);
      assert.equal((await world.strict.seen()).count, 0);
    });

    test('a token of a person outside the policy opens nothing', async () => {
      const { access_token: token } = await tokenFor(as, server, { resource: aud, account: 'mallory' });
      const answer = await echo(world.gateway, { token });
      assert.equal(answer.json?.error?.code, -32602, answer.text);
    });

    test('made-up tokens are refused', async () => {
      for (const token of ['x', 'A'.repeat(43), 'a.b', 'a'.repeat(5000), 'e30.e30.', '%00', 'ünicode']) {
        const answer = await echo(world.gateway, { token: encodeURI(token) });
        assert.ok([400, 401, 431].includes(answer.status), `${token.slice(0, 20)}: ${answer.status}`);
      }
    });

    test('while nobody answers, no unknown token is good', async () => {
      const { access_token: token } = await tokenFor(as, server, { resource: aud });
      await as.stop('SIGKILL');
      await world.strict.reset();
      const answer = await echo(world.gateway, { token });
      assert.ok([401, 503].includes(answer.status), `${answer.status}`);
      assert.equal((await world.strict.seen()).count, 0);
    });
  });
}
