// DPoP (RFC 9449) with tokens that oidc-provider bound, and certificates (RFC 8705, SPIFFE).
import assert from 'node:assert/strict';
import { X509Certificate, createHash, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import * as jose from 'jose';
import { ScriptedAs } from '../scripted-as.mjs';
import { makeCerts } from './certs.mjs';
import { SERVERS, echo, policies, resourceMetadata, startGuarded, tokenFor } from './oauth.mjs';

const server = SERVERS['oidc-provider'];
const now = () => Math.floor(Date.now() / 1000);

async function makeKey(alg = 'ES256') {
  const { publicKey, privateKey } = await jose.generateKeyPair(alg, { extractable: true });
  return { alg, privateKey, jwk: await jose.exportJWK(publicKey), secret: await jose.exportJWK(privateKey) };
}

const digest = token => createHash('sha256').update(token).digest('base64url');

/** A DPoP proof; `claims` and `header` are merged over good ones, `undefined` removes. */
async function proof(key, { htu, htm = 'POST', token, nonce, claims = {}, header = {} }) {
  const payload = { jti: randomUUID(), htm, htu, iat: now(), ...(token && { ath: digest(token) }), ...(nonce && { nonce }), ...claims };
  const head = { typ: 'dpop+jwt', alg: key.alg, jwk: key.jwk, ...header };
  for (const part of [payload, head]) for (const [name, value] of Object.entries(part)) if (value === undefined) delete part[name];
  return new jose.SignJWT(payload).setProtectedHeader(head).sign(key.privateKey);
}

describe('DPoP', () => {
  let as;
  let world;
  let key;
  let token;
  let htu;
  before(async () => {
    key = await makeKey();
    as = await server.start({});
    world = await startGuarded({
      issuers: [{ issuer: as.origin, jwks: `${as.origin}/jwks`, algorithms: ['ES256'], dpop: 'accept' }],
    });
    htu = `${world.gateway.base}/mcp`;
    token = (await tokenFor(as, server, { resource: htu, proof: url => proof(key, { htu: url }) })).access_token;
  });
  after(async () => {
    await world?.stop();
    await as?.stop();
  });

  /** A call with a proof; a nonce that is asked for is given, once. */
  async function call(options = {}, { scheme = 'DPoP', sent = token } = {}) {
    const send = async nonce => echo(world.gateway, { token: sent, scheme, headers: { dpop: await proof(options.key ?? key, { htu, token: sent, nonce, ...options }) } });
    const first = await send();
    const nonce = first.headers['dpop-nonce'];
    const asks = /error="use_dpop_nonce"/.test(first.headers['www-authenticate'] ?? '');
    return first.status === 401 && asks && nonce ? send(nonce) : first;
  }

  test('the authorization server bound the token', async () => {
    assert.equal(jose.decodeJwt(token).cnf.jkt, await jose.calculateJwkThumbprint(key.jwk));
  });

  test('a bound token with a fresh proof is good, again and again', async () => {
    for (let at = 0; at < 3; at += 1) {
      const answer = await call();
      assert.equal(answer.status, 200, answer.text);
    }
  });

  test('the case of the scheme in htu does not matter', async () => {
    const answer = await call({ htu: htu.replace('https:', 'HTTPS:') });
    assert.equal(answer.status, 200, answer.text);
  });

  test('neither token nor proof reaches the upstream', async () => {
    await world.strict.reset();
    await call();
    const { requests } = await world.strict.seen();
    assert.ok(requests.length > 0);
    for (const { headers } of requests) assert.equal(headers.dpop, undefined);
    assert.ok(!JSON.stringify(requests).includes(token.split('.')[1].slice(0, 12)));
  });

  const bad = {
    'for another route': () => ({ htu: `${world.gateway.base}/other` }),
    'for another host': () => ({ htu: 'https://evil.example/mcp' }),
    'for another method': () => ({ htm: 'GET' }),
    'of ten minutes ago': () => ({ claims: { iat: now() - 600 } }),
    'of in ten minutes': () => ({ claims: { iat: now() + 600 } }),
    'without a time': () => ({ claims: { iat: undefined } }),
    'without an id': () => ({ claims: { jti: undefined } }),
    'without ath': () => ({ claims: { ath: undefined } }),
    'with the ath of another token': () => ({ claims: { ath: digest('another') } }),
    'without htu': () => ({ claims: { htu: undefined } }),
    'without htm': () => ({ claims: { htm: undefined } }),
    'of another type': () => ({ header: { typ: 'JWT' } }),
    'without a type': () => ({ header: { typ: undefined } }),
    'that holds the private key': () => ({ header: { jwk: key.secret } }),
    'with a critical header': () => ({ header: { crit: ['b64'], b64: true } }),
  };
  for (const [name, make] of Object.entries(bad)) {
    test(`a proof ${name} is refused`, async () => {
      await world.strict.reset();
      const answer = await call(await make());
      assert.equal(answer.status, 401, answer.text);
      assert.match(answer.headers['www-authenticate'], /^DPoP .*error="invalid_dpop_proof"/);
      assert.equal((await world.strict.seen()).count, 0);
    });
  }

  test('a proof of another key is refused', async () => {
    await world.strict.reset();
    const answer = await call({ key: await makeKey() });
    assert.equal(answer.status, 401, answer.text);
    assert.match(answer.headers['www-authenticate'], /^DPoP .*error="invalid_(token|dpop_proof)"/);
    assert.equal((await world.strict.seen()).count, 0);
  });

  test('an HMAC proof is refused', async () => {
    const secret = new TextEncoder().encode('0123456789abcdef0123456789abcdef');
    const forged = await new jose.SignJWT({ jti: randomUUID(), htm: 'POST', htu, iat: now(), ath: digest(token) })
      .setProtectedHeader({ typ: 'dpop+jwt', alg: 'HS256', jwk: { kty: 'oct', k: Buffer.from(secret).toString('base64url') } })
      .sign(secret);
    const answer = await echo(world.gateway, { token, scheme: 'DPoP', headers: { dpop: forged } });
    assert.equal(answer.status, 401);
  });

  test('a proof that was used is refused', async () => {
    const first = await echo(world.gateway, { token, scheme: 'DPoP', headers: { dpop: await proof(key, { htu, token }) } });
    const nonce = first.status === 401 ? first.headers['dpop-nonce'] : undefined;
    const one = await proof(key, { htu, token, nonce });
    const statuses = [];
    for (let at = 0; at < 3; at += 1) statuses.push((await echo(world.gateway, { token, scheme: 'DPoP', headers: { dpop: one } })).status);
    assert.deepEqual(statuses, [200, 401, 401]);
  });

  test('one proof on many connections at once is good once', async () => {
    const probe = await echo(world.gateway, { token, scheme: 'DPoP', headers: { dpop: await proof(key, { htu, token }) } });
    const nonce = probe.status === 401 ? probe.headers['dpop-nonce'] : undefined;
    const one = await proof(key, { htu, token, nonce });
    const answers = await Promise.all(Array.from({ length: 16 }, () => echo(world.gateway, { token, scheme: 'DPoP', headers: { dpop: one } })));
    assert.equal(answers.filter(({ status }) => status === 200).length, 1);
  });

  test('a bound token as a mere bearer token is refused', async () => {
    for (const headers of [{}, { dpop: await proof(key, { htu, token }) }]) {
      const answer = await echo(world.gateway, { token, headers });
      assert.equal(answer.status, 401, answer.text);
    }
  });

  test('a token that is not bound is not good with a proof of anybody', async () => {
    const { access_token: bearer } = await tokenFor(as, server, { resource: htu });
    const answer = await call({}, { sent: bearer });
    assert.equal(answer.status, 401, answer.text);
  });

  test('two proofs are refused', async () => {
    const two = [await proof(key, { htu, token }), await proof(key, { htu, token })];
    const answer = await echo(world.gateway, { token, scheme: 'DPoP', headers: { dpop: two } });
    assert.ok([400, 401].includes(answer.status), `${answer.status}`);
  });
});

describe('a route that demands DPoP', () => {
  let as;
  let world;
  before(async () => {
    as = await server.start({});
    world = await startGuarded({
      issuers: [{ issuer: as.origin, jwks: `${as.origin}/jwks`, algorithms: ['ES256'] }],
      route: { proof: 'dpop' },
    });
  });
  after(async () => {
    await world?.stop();
    await as?.stop();
  });

  test('asks for it, refuses bearer tokens, takes bound ones', async () => {
    const htu = `${world.gateway.base}/mcp`;
    const none = await echo(world.gateway);
    assert.equal(none.status, 401);
    assert.match(none.headers['www-authenticate'], /DPoP .*algs="/);
    const { access_token: bearer } = await tokenFor(as, server, { resource: htu });
    assert.equal((await echo(world.gateway, { token: bearer })).status, 401);
    const key = await makeKey();
    const { access_token: token } = await tokenFor(as, server, { resource: htu, proof: url => proof(key, { htu: url }) });
    const first = await echo(world.gateway, { token, scheme: 'DPoP', headers: { dpop: await proof(key, { htu, token }) } });
    const nonce = first.headers['dpop-nonce'];
    const last = first.status === 200 ? first : await echo(world.gateway, { token, scheme: 'DPoP', headers: { dpop: await proof(key, { htu, token, nonce }) } });
    assert.equal(last.status, 200, last.text);
    const metadata = await resourceMetadata(world.gateway);
    assert.equal(metadata.dpop_bound_access_tokens_required, true);
    assert.ok(metadata.dpop_signing_alg_values_supported.includes('ES256'));
  });
});

describe('client certificates', () => {
  let as;
  let world;
  let certs;
  let others;
  const own = name => ({ ca: readFileSync(certs.ca), cert: readFileSync(certs.file(`${name}.pem`)), key: readFileSync(certs.file(`${name}.key`)) });
  const nobody = () => ({ ca: readFileSync(certs.ca) });
  // The handshake may end it before any answer.
  const REFUSED = ['closed', 401];
  const statusOf = options => echo(world.gateway, options).then(({ status }) => status, () => 'closed');
  const thumbprint = name => createHash('sha256').update(new X509Certificate(readFileSync(certs.file(`${name}.pem`))).raw).digest('base64url');
  before(async () => {
    certs = makeCerts({ agent: 'spiffe://example.org/ci/agent', other: 'spiffe://example.org/web/other', foreign: 'spiffe://evil.example/ci/agent', named: 'dns:agent.example.org' });
    others = makeCerts({ agent: 'spiffe://example.org/ci/agent' });
    as = await ScriptedAs.start();
    world = await startGuarded({
      issuers: [{ issuer: as.issuer, jwks: as.jwksUri, algorithms: ['ES256'] }],
      identity: { client_certificates: { subjects: ['spiffe://example.org/ci/*'], trust_domain: 'example.org' } },
      config: { tls: { cert: certs.file('server.pem'), key: certs.file('server.key'), client_ca: certs.ca } },
      route: { scopes: [] },
      policies: {
        ...policies,
        groups: { engineering: { claim: 'groups', any_of: ['eng'], issuer: [as.issuer] } },
        rules: [
          ...policies.rules,
          { id: 'machines', effect: 'allow', principals: ['sub:portcullis:mtls#spiffe://example.org/ci/*'], tools: ['strict__echo'] },
        ],
      },
    });
    world.gateway.ca = certs.ca;
  });
  after(async () => {
    await world?.stop();
    await as?.stop();
    certs?.remove();
    others?.remove();
  });

  test('a certificate of the trust domain is a principal', async () => {
    const answer = await echo(world.gateway, { tls: own('agent') });
    assert.equal(answer.status, 200, answer.text);
    const record = (await world.gateway.settledRecords(1)).findLast(({ kind }) => kind === 'outcome');
    assert.equal(record.principal.sub, 'spiffe://example.org/ci/agent');
    assert.equal(record.principal.iss, 'portcullis:mtls');
  });

  for (const name of ['other', 'foreign', 'named']) {
    test(`the certificate "${name}" alone is nobody`, async () => {
      assert.equal((await echo(world.gateway, { tls: own(name) })).status, 401);
    });
  }

  test('without a certificate nobody', async () => {
    assert.ok(REFUSED.includes(await statusOf({ tls: nobody() })));
  });

  test('a certificate of another authority ends the connection or is nobody', async () => {
    const forged = { ca: readFileSync(certs.ca), cert: readFileSync(others.file('agent.pem')), key: readFileSync(others.file('agent.key')) };
    assert.ok(REFUSED.includes(await statusOf({ tls: forged })));
  });

  test('a token bound to a certificate is good with that certificate only', async () => {
    const aud = `${world.gateway.base}/mcp`;
    const claims = { groups: ['eng'], cnf: { 'x5t#S256': thumbprint('other') } };
    const token = await as.mint({ aud, claims });
    assert.equal((await echo(world.gateway, { token, tls: own('other') })).status, 200);
    assert.equal((await echo(world.gateway, { token, tls: own('named') })).status, 401);
    assert.ok(REFUSED.includes(await statusOf({ token, tls: nobody() })));
  });

  test('a presented token that is not good is not replaced by the certificate', async () => {
    assert.equal((await echo(world.gateway, { token: 'nonsense', tls: own('agent') })).status, 401);
  });
});
