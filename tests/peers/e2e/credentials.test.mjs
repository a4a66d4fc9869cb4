// What the gateway shows upstreams of tokens that it gets itself: client credentials, token exchange,
// ID-JAG, at oidc-provider.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import * as jose from 'jose';
import { freePort, startServer } from '../harness.mjs';
import { makeCerts } from './certs.mjs';
import { SERVERS, rpc, startGuarded, tokenFor } from './oauth.mjs';

const server = SERVERS['oidc-provider'];
const SECRET = 'machine-secret-machine-secret-machine';
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const machine = (id, more = {}) => ({ client_id: id, redirect_uris: [], response_types: [], grant_types: ['client_credentials', EXCHANGE], ...more });

let certs;
let as;
let corp;
let upstream;
let gateway;
const stops = [];

before(async () => {
  certs = makeCerts();
  const port = await freePort();
  const base = `https://127.0.0.1:${port}`;
  const key = await jose.generateKeyPair('ES256', { extractable: true });
  writeFileSync(certs.file('machine.key'), await jose.exportPKCS8(key.privateKey), { mode: 0o600 });
  const publicKey = await jose.exportJWK(key.publicKey);
  const jwk = { ...publicKey, alg: 'ES256', use: 'sig', kid: await jose.calculateJwkThumbprint(publicKey) };
  corp = await server.start({});
  stops.push(() => corp.stop());
  // The authorization server of the upstream trusts what the gateway signs.
  process.env.NODE_EXTRA_CA_CERTS = certs.ca;
  as = await server.start({
    trust: [{ issuer: base, jwks_uri: `${base}/oauth/jwks` }],
    clients: [
      machine('secretive', { client_secret: SECRET }),
      machine('signing', { token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: [jwk] }, token_endpoint_auth_signing_alg: 'ES256' }),
    ],
  });
  stops.push(() => as.stop());
  const guard = { issuer: as.origin, jwks: `${as.origin}/jwks` };
  upstream = await startServer('fixtures/guarded-2026.mjs', { env: { GUARD: JSON.stringify(guard) } });
  stops.push(() => upstream.stop());
  const http = { url: upstream.url };
  const at = { issuer: as.origin, scopes: ['mcp:read'] };
  const secret = { ...at, client_id: 'secretive', client_secret: SECRET };
  const credentials = {
    secret: { client_credentials: secret },
    url: { client_credentials: { ...secret, issuer: undefined, token_url: `${as.origin}/token` } },
    signed: { client_credentials: { ...at, client_id: 'signing', private_key: certs.file('machine.key') } },
    behalf: { token_exchange: { ...secret, actor: false } },
    actor: { token_exchange: { ...secret, actor: true } },
    wrong: { client_credentials: { ...secret, client_secret: 'not the secret' } },
  };
  const started = await startGuarded({
    port,
    env: { SSL_CERT_FILE: certs.ca },
    issuers: [{ issuer: corp.origin, jwks: `${corp.origin}/jwks`, algorithms: ['ES256'] }],
    config: {
      tls: { cert: certs.file('server.pem'), key: certs.file('server.key') },
      routes: [{ path: '/mcp', upstreams: Object.keys(credentials) }],
      upstreams: Object.entries(credentials).map(([name, credential]) => ({ name, http, allow_private_addresses: true, credential })),
    },
    policies: { rules: [{ id: 'all', effect: 'allow', principals: ['any'], tools: ['*'], classes: ['read', 'write', 'destructive'] }] },
  });
  gateway = started.gateway;
  gateway.ca = certs.ca;
  stops.push(started.stop);
});
after(async () => {
  for (const end of stops.reverse()) await end();
  certs?.remove();
});

const token = async account => (await tokenFor(corp, server, { resource: `${gateway.base}/mcp`, account })).access_token;

async function whoami(name, account = 'alice') {
  const answer = await rpc(gateway, 'tools/call', { name: `${name}__whoami`, arguments: {} }, { token: await token(account) });
  assert.equal(answer.status, 200, answer.text);
  return answer.json.result;
}

const claims = result => {
  assert.notEqual(result.isError, true, JSON.stringify(result));
  return JSON.parse(result.content[0].text);
};

const tokenRequests = async () => (await as.seen()).requests.filter(({ method, url }) => method === 'POST' && url === '/token').map(({ body }) => new URLSearchParams(body));

describe('client credentials', () => {
  for (const [name, client] of [['secret', 'secretive'], ['url', 'secretive'], ['signed', 'signing']]) {
    test(`"${name}": one token for many calls of many people, made for the upstream`, async () => {
      await as.reset();
      for (const account of ['alice', 'bob', 'alice']) assert.equal(claims(await whoami(name, account)).sub, client);
      const requests = await tokenRequests();
      assert.equal(requests.length, 1);
      assert.equal(requests[0].get('grant_type'), 'client_credentials');
      assert.equal(requests[0].get('resource'), upstream.url);
    });
  }

  test('a refused token is replaced', async () => {
    claims(await whoami('secret'));
    await as.reset();
    await fetch(`${upstream.origin}/refuse`, { method: 'POST' });
    await new Promise(done => setTimeout(done, 2100));
    assert.equal(claims(await whoami('secret')).sub, 'secretive');
    assert.equal((await tokenRequests()).length, 1);
  });

  test('a secret that is not good fails in our words', async () => {
    const result = await whoami('wrong');
    assert.equal(result.isError, true);
    const text = JSON.stringify(result);
    for (const leak of ['not the secret', 'invalid_client', as.origin, 'the words of the upstream']) assert.ok(!text.includes(leak), leak);
  });
});

describe('token exchange', () => {
  test('on behalf of each person, never with the client token', async () => {
    await as.reset();
    for (const account of ['alice', 'bob']) assert.equal(claims(await whoami('behalf', account)).sub, account);
    const requests = await tokenRequests();
    assert.equal(requests.length, 2);
    for (const request of requests) {
      assert.equal(request.get('grant_type'), EXCHANGE);
      const subject = jose.decodeJwt(request.get('subject_token'));
      assert.equal(subject.iss, gateway.base, 'the subject token is one of ours');
      assert.notEqual(subject.aud, `${gateway.base}/mcp`);
    }
  });

  test('the gateway is named as the actor where that is wanted', async () => {
    const who = claims(await whoami('actor'));
    assert.equal(who.sub, 'alice');
    assert.ok(who.act?.sub, JSON.stringify(who));
  });
});
