// SDK clients authorize by themselves at real authorization servers, and call through the gateway.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Browser } from '../browserless.mjs';
import { freePort } from '../harness.mjs';
import { makeCerts, serveJson } from './certs.mjs';
import { denial, line, said, stepsOf, worked } from './expect.mjs';
import { GROUPS, SERVERS, echo, rpc, startGuarded, tokenFor } from './oauth.mjs';

const CLIENTS = ['ts1', 'ts2', 'ts2-legacy'];
const CALL = { op: 'call', name: 'strict__echo', args: { message: 'authorized' } };
const STEP_UP = { op: 'call', name: 'strict__add', args: { a: 1, b: 41 } };

/** Opens what the SDK wants opened, without a screen, and notes every page. */
function screenless(fill) {
  const pages = [];
  return { pages, open: async url => void pages.push(await new Browser().approve(url, { fill })) };
}

const posts = (seen, path) => seen.requests.filter(({ method, url }) => method === 'POST' && url.startsWith(path));
const form = ({ body }) => new URLSearchParams(body);

for (const [name, server] of Object.entries(SERVERS)) {
  describe(`at ${name}`, () => {
    let as;
    let world;
    let certs;
    let documents;
    const callbacks = {};
    before(async () => {
      certs = makeCerts();
      for (const kind of CLIENTS) callbacks[kind] = await freePort();
      documents = await serveJson(certs, {
        ...Object.fromEntries(
          CLIENTS.map(kind => [
            `/${kind}.json`,
            req => ({
              client_id: `https://${req.headers.host}/${kind}.json`,
              client_name: `Documented ${kind}`,
              redirect_uris: [`http://127.0.0.1:${callbacks[kind]}/callback`],
              grant_types: ['authorization_code', 'refresh_token'],
              response_types: ['code'],
              token_endpoint_auth_method: 'none',
              application_type: 'native',
            }),
          ]),
        ),
      });
      as = await server.start({
        refresh: true,
        cimd_ca: certs.ca,
        clients: CLIENTS.map(kind => ({
          client_id: `known-${kind}`,
          client_secret: 'known-secret-known-secret-known-secret',
          redirect_uris: [`http://127.0.0.1:${callbacks[kind]}/callback`],
          grant_types: ['authorization_code', 'refresh_token'],
          response_types: ['code'],
          application_type: 'native',
        })),
      });
      world = await startGuarded({
        issuers: [{ issuer: as.origin, jwks: `${as.origin}${server.jwks}`, algorithms: server.algorithms }],
      });
    });
    after(async () => {
      await world?.stop();
      await as?.stop();
      await documents?.stop();
      certs?.remove();
    });

    for (const kind of CLIENTS) {
      test(`${kind} registers, authorizes and calls`, async () => {
        await as.reset();
        const { pages, open } = screenless();
        const lines = await world.gateway.client(kind, [{ op: 'list' }, CALL], { oauth: {}, open });
        stepsOf(lines);
        assert.equal(said(line(lines, 'call', CALL.name)), 'authorized');
        assert.equal(pages.length, 1, 'one authorization');
        const seen = await as.seen();
        assert.equal(posts(seen, server.register).length, 1);
        const [exchange] = posts(seen, server.token).map(form);
        assert.equal(exchange.get('resource'), `${world.gateway.base}/mcp`, 'the token is asked for this route');
        assert.ok(exchange.get('code_verifier'), 'with PKCE');
      });

      test(`${kind} is registered already`, async () => {
        await as.reset();
        const { open } = screenless();
        const known = { client_id: `known-${kind}`, client_secret: 'known-secret-known-secret-known-secret', issuer: as.origin, port: callbacks[kind] };
        const lines = await world.gateway.client(kind, [CALL], { oauth: known, open });
        stepsOf(lines);
        assert.equal(said(line(lines, 'call', CALL.name)), 'authorized');
        assert.equal(posts(await as.seen(), server.register).length, 0, 'no registration');
      });

      if (server.cimd) {
        test(`${kind} names its metadata document`, async () => {
          await as.reset();
          const { open } = screenless();
          const cimd = `${documents.origin}/${kind}.json`;
          const lines = await world.gateway.client(kind, [CALL], { oauth: { cimd, port: callbacks[kind] }, open });
          stepsOf(lines);
          assert.equal(said(line(lines, 'call', CALL.name)), 'authorized');
          assert.equal(posts(await as.seen(), server.register).length, 0, 'no registration');
          assert.equal(line(lines, 'tokens').client?.client_id ?? cimd, cimd);
        });
      }

      test(`${kind} refreshes when its token is refused`, async () => {
        await as.reset();
        const { pages, open } = screenless();
        const lines = await world.gateway.client(kind, [CALL, { op: 'spoil' }, CALL], { oauth: {}, open });
        stepsOf(lines);
        assert.equal(said(line(lines, 'call', CALL.name, 1)), 'authorized');
        assert.equal(pages.length, 1, 'no second authorization');
        const grants = posts(await as.seen(), server.token).map(request => form(request).get('grant_type'));
        assert.deepEqual(grants, ['authorization_code', 'refresh_token']);
      });
    }

    test('a person outside the policy authorizes and sees nothing', async () => {
      const open = async url => {
        const who = new URL(url);
        who.searchParams.set('login_hint', 'mallory');
        await new Browser().approve(who);
      };
      const lines = await world.gateway.client('ts2', [{ op: 'list' }, CALL], { oauth: {}, open });
      const list = line(lines, 'list');
      assert.ok(list.ok);
      assert.deepEqual(list.result.tools, []);
      assert.equal(line(lines, 'call', CALL.name).ok, false);
    });

    test('a token for another resource is refused', async () => {
      const token = (await tokenFor(as, server, { resource: 'https://elsewhere.example/mcp' })).access_token;
      await world.strict.reset();
      const answer = await echo(world.gateway, { token });
      assert.equal(answer.status, 401, answer.text);
      assert.match(answer.headers['www-authenticate'], /error="invalid_token"/);
      assert.equal((await world.strict.seen()).count, 0);
    });

    test('a token for this route is good, and is never shown to the upstream', async () => {
      const token = (await tokenFor(as, server, { resource: `${world.gateway.base}/mcp` })).access_token;
      await world.strict.reset();
      const answer = await echo(world.gateway, { token });
      assert.equal(answer.status, 200, answer.text);
      const seen = JSON.stringify(await world.strict.seen());
      for (const part of token.split('.')) assert.ok(!seen.includes(part.slice(0, 12)), 'a piece of the token upstream');
    });
  });
}

describe('step-up at oidc-provider', () => {
  let as;
  let world;
  before(async () => {
    // Without refresh tokens: a 1.x client that has one refreshes instead of asking for more.
    as = await SERVERS['oidc-provider'].start({});
    world = await startGuarded({ issuers: [{ issuer: as.origin, jwks: `${as.origin}/jwks`, algorithms: ['ES256'] }] });
  });
  after(async () => {
    await world?.stop();
    await as?.stop();
  });

  for (const kind of CLIENTS) {
    test(`${kind} asks for the scope that a call needs, once`, async () => {
      const { pages, open } = screenless();
      const wanted = [];
      const noting = async url => {
        wanted.push(new URL(url).searchParams.get('scope').split(' '));
        await open(url);
      };
      const lines = await world.gateway.client(kind, [CALL, STEP_UP, STEP_UP], { oauth: {}, open: noting });
      stepsOf(lines);
      assert.equal(said(line(lines, 'call', STEP_UP.name)), '42');
      assert.equal(said(line(lines, 'call', STEP_UP.name, 1)), '42');
      assert.equal(pages.length, 2);
      assert.ok(wanted[0].includes('mcp:read') && !wanted[0].includes('mcp:write'), `first ${wanted[0]}`);
      assert.ok(wanted[1].includes('mcp:read') && wanted[1].includes('mcp:write'), `then ${wanted[1]}`);
    });
  }

  test('the challenge names all scopes of the call at once', async () => {
    const token = (await tokenFor(as, SERVERS['oidc-provider'], { resource: `${world.gateway.base}/mcp`, scope: 'mcp:read' })).access_token;
    const answer = await rpc(world.gateway, 'tools/call', { name: 'strict__add', arguments: { a: 1, b: 2 } }, { token });
    assert.equal(answer.status, 403);
    const challenge = answer.headers['www-authenticate'];
    assert.match(challenge, /error="insufficient_scope"/);
    const scopes = /scope="([^"]*)"/.exec(challenge)[1].split(' ').sort();
    assert.deepEqual(scopes, ['mcp:read', 'mcp:write']);
  });
});
