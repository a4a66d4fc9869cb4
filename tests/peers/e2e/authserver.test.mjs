// The gateway's own authorization server: SDK clients, attacks, and the consent page.
import assert from 'node:assert/strict';
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import * as jose from 'jose';
import { Browser, formsOf } from '../browserless.mjs';
import { freePort } from '../harness.mjs';
import { startAuthServer } from './authserver.mjs';
import { makeCerts, serveJson } from './certs.mjs';
import { line, said, stepsOf } from './expect.mjs';
import { SERVERS, echo, tokenFor } from './oauth.mjs';

const CLIENTS = ['ts1', 'ts2', 'ts2-legacy'];
const CALL = { op: 'call', name: 'strict__echo', args: { message: 'through our own' } };
const STEP_UP = { op: 'call', name: 'strict__add', args: { a: 40, b: 2 } };
const REDIRECT = 'http://127.0.0.1:9/callback';

let world;
let machine;

before(async () => {
  const certs = makeCerts();
  machine = await jose.generateKeyPair('ES256', { extractable: true });
  const jwk = { ...(await jose.exportJWK(machine.publicKey)), alg: 'ES256', use: 'sig', kid: 'machine-1' };
  writeFileSync(certs.file('machine.json'), JSON.stringify({ keys: [jwk] }));
  world = await startAuthServer({
    certs,
    // What the identity provider calls the client that redeems its grants at our server.
    idp: base => ({ jag_clients: { [base]: 'agent' } }),
    authserver: idp => ({
      id_jag: { issuers: [{ issuer: idp.origin, jwks: `${idp.origin}/jwks`, algorithms: ['ES256'] }] },
      clients: [
        { client_id: 'known', name: 'Known client', redirect_uris: [REDIRECT] },
        { client_id: 'machine', name: 'Machine', grants: ['client_credentials'], jwks: `file:${certs.file('machine.json')}` },
        { client_id: 'agent', name: 'Agent', grants: ['jwt_bearer'], jwks: `file:${certs.file('machine.json')}` },
        { client_id: 'other', name: 'Another agent', grants: ['jwt_bearer'], jwks: `file:${certs.file('machine.json')}` },
      ],
    }),
  });
});
after(() => world?.stop());

const newBrowser = () => new Browser({ ca: [world.certs.ca] });
/** The pages of the gateway that asked for something. */
const asked = browser => browser.history.filter(({ url, status, text }) => url.origin === world.base && status === 200 && formsOf(text, url).length > 0);

function screenless() {
  const browsers = [];
  const open = async url => {
    const browser = newBrowser();
    browsers.push(browser);
    await browser.approve(url);
  };
  return { browsers, open };
}

/** An authorization request of `client`, and its verifier. */
function request({ client = 'known', redirect = REDIRECT, ...changes } = {}) {
  const verifier = randomBytes(32).toString('base64url');
  const url = new URL(`${world.base}/oauth/authorize`);
  const query = {
    response_type: 'code',
    client_id: client,
    redirect_uri: redirect,
    scope: 'mcp:read',
    state: 'the state',
    resource: `${world.base}/mcp`,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
    ...changes,
  };
  for (const [name, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(name, value);
  return { url, verifier };
}

/** The id of a client that nobody consented to yet. */
async function register(name) {
  const metadata = { client_name: name, redirect_uris: [REDIRECT], token_endpoint_auth_method: 'none', application_type: 'native' };
  const answer = await newBrowser().request(`${world.base}/oauth/register`, { method: 'POST', json: metadata });
  assert.equal(answer.status, 201, answer.text);
  return JSON.parse(answer.text).client_id;
}

/** Approves a request and returns where it led: the parameters of the redirect to the client. */
async function approved(url, { browser = newBrowser(), deny = false } = {}) {
  const stop = location => location.startsWith(REDIRECT);
  let page = await browser.open(url, stop);
  for (let at = 0; at < 4 && !stop(page.headers.location ?? '') && formsOf(page.text, page.url).length > 0; at += 1) {
    page = await browser.submit(page, { deny, stop });
  }
  assert.ok(page.headers.location, `${page.status} at ${page.url}: ${page.text.slice(0, 500)}`);
  return new URL(page.headers.location).searchParams;
}

const post = async (path, form, headers = {}) => {
  const answer = await newBrowser().request(`${world.base}${path}`, { method: 'POST', form, headers });
  return { ...answer, json: answer.text.startsWith('{') ? JSON.parse(answer.text) : undefined };
};

const redeem = (params, verifier, changes = {}) =>
  post('/oauth/token', {
    grant_type: 'authorization_code',
    code: params.get('code'),
    redirect_uri: REDIRECT,
    client_id: 'known',
    code_verifier: verifier,
    resource: `${world.base}/mcp`,
    ...changes,
  });

async function tokens() {
  const { url, verifier } = request();
  const answer = await redeem(await approved(url), verifier);
  assert.equal(answer.status, 200, answer.text);
  return answer.json;
}

describe('SDK clients at our own authorization server', () => {
  for (const kind of CLIENTS) {
    test(`${kind} registers, a person consents, and the call goes through`, async () => {
      const { browsers, open } = screenless();
      const lines = await world.gateway.client(kind, [CALL], { oauth: { name: `Registered ${kind}` }, open });
      stepsOf(lines);
      assert.equal(said(line(lines, 'call', CALL.name)), 'through our own');
      const [page] = asked(browsers[0]);
      assert.ok(page, 'no consent page');
      for (const text of [`Registered ${kind}`, '127.0.0.1', 'Read with tools']) assert.ok(page.text.includes(text), `the page does not say ${text}`);
      const [{ access_token: token }] = line(lines, 'tokens').tokens;
      const { iss, aud, sub, idp, exp, iat } = jose.decodeJwt(token);
      assert.deepEqual({ iss, aud, idp }, { iss: world.base, aud: `${world.base}/mcp`, idp: { iss: world.idp.origin, sub: 'alice' } });
      assert.ok(sub && exp - iat <= 600);
    });

    test(`${kind} refreshes`, async () => {
      const { browsers, open } = screenless();
      const lines = await world.gateway.client(kind, [CALL, { op: 'spoil' }, CALL], { oauth: {}, open });
      stepsOf(lines);
      assert.equal(said(line(lines, 'call', CALL.name, 1)), 'through our own');
      assert.equal(browsers.length, 1, 'no second authorization');
    });
  }

  test('ts2 asks for more when a call needs it', async () => {
    const { browsers, open } = screenless();
    const lines = await world.gateway.client('ts2', [CALL, STEP_UP], { oauth: { name: 'Asks for more' }, open });
    stepsOf(lines);
    assert.equal(said(line(lines, 'call', STEP_UP.name)), '42');
    assert.equal(browsers.length, 2);
    assert.ok(asked(browsers[1])[0]?.text.includes('Change things with tools'), 'consent to the new scope');
  });
});

describe('the consent page', () => {
  test('cannot be framed, cached or leak, and its cookies are bound to the host', async () => {
    const browser = newBrowser();
    await approved(request({ client: await register('Framed') }).url, { browser });
    const [page] = asked(browser);
    const policy = page.headers['content-security-policy'];
    assert.match(policy, /default-src 'none'/);
    assert.match(policy, /frame-ancestors 'none'/);
    assert.equal(page.headers['x-frame-options'], 'DENY');
    assert.match(page.headers['cache-control'], /no-store/);
    // With no-referrer a browser would send its form with the Origin null.
    assert.match(page.headers['referrer-policy'], /^(no-referrer|same-origin)$/);
    assert.equal(page.headers['x-content-type-options'], 'nosniff');
    const ours = browser.history.filter(({ url }) => url.origin === world.base).flatMap(({ headers }) => headers['set-cookie'] ?? []);
    assert.ok(ours.length > 0);
    for (const cookie of ours) {
      assert.match(cookie, /^__Host-/);
      assert.match(cookie, /;\s*Secure/i);
      assert.match(cookie, /;\s*HttpOnly/i);
      assert.match(cookie, /;\s*SameSite=(Lax|Strict)/i);
      assert.doesNotMatch(cookie, /;\s*Domain=/i);
    }
  });

  test('of one client is not the consent to another', async () => {
    const browser = newBrowser();
    const [first, second] = [await register('First'), await register('Second')];
    await approved(request({ client: first }).url, { browser });
    const before = asked(browser).length;
    const page = await browser.open(request({ client: second }).url, location => location.startsWith(REDIRECT));
    assert.equal(page.headers.location, undefined, 'no redirect without consent');
    assert.equal(asked(browser).length, before + 1);
    assert.ok(page.text.includes('Second'));
  });

  test('sent from another site is refused', async () => {
    const browser = newBrowser();
    const page = await browser.open(request({ client: await register('Forged') }).url, location => location.startsWith(REDIRECT));
    const [form] = formsOf(page.text, page.url);
    for (const headers of [{ origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }, { origin: 'null', 'sec-fetch-site': 'cross-site' }]) {
      const answer = await browser.request(form.action, { method: 'POST', form: { ...form.fields, decision: 'approve' }, headers });
      assert.ok([400, 403].includes(answer.status), `${answer.status}`);
    }
    const stranger = await newBrowser().request(form.action, { method: 'POST', form: { ...form.fields, decision: 'approve' } });
    assert.ok([400, 401, 403].includes(stranger.status), `without the cookies: ${stranger.status}`);
  });

  test('that says no leads back with an error', async () => {
    const browser = newBrowser();
    const { url } = request({ client: await register('Refused'), state: 'denied' });
    const page = await browser.open(url, location => location.startsWith(REDIRECT));
    const answer = await browser.submit(page, { deny: true, stop: location => location.startsWith(REDIRECT) });
    const params = new URL(answer.headers.location).searchParams;
    assert.equal(params.get('error'), 'access_denied');
    assert.equal(params.get('state'), 'denied');
    assert.equal(params.get('iss'), world.base);
    assert.equal(params.get('code'), null);
  });
});

describe('attacks on our own authorization server', () => {
  test('the metadata promises what the tests demand', async () => {
    const { text } = await newBrowser().open(`${world.base}/.well-known/oauth-authorization-server`);
    const metadata = JSON.parse(text);
    assert.equal(metadata.issuer, world.base);
    assert.deepEqual(metadata.code_challenge_methods_supported, ['S256']);
    assert.deepEqual(metadata.response_types_supported, ['code']);
    assert.equal(metadata.authorization_response_iss_parameter_supported, true);
    assert.equal(metadata.client_id_metadata_document_supported, true);
  });

  const redirects = ['http://127.0.0.1:9/callbac', 'http://127.0.0.1:9/callback/', 'http://127.0.0.1:9/Callback', 'https://evil.example/callback', 'http://127.0.0.1:9/callback?x=1', 'http://127.0.0.1:9@evil.example/callback', 'javascript:alert(1)'];
  for (const redirect of redirects) {
    test(`nobody is sent to ${redirect}`, async () => {
      const answer = await newBrowser().request(request({ redirect }).url);
      assert.equal(answer.status, 400);
      assert.equal(answer.headers.location, undefined);
    });
  }

  const wrong = {
    'without PKCE': { code_challenge: undefined, code_challenge_method: undefined },
    'with plain PKCE': { code_challenge_method: 'plain' },
    'for tokens at once': { response_type: 'token' },
    'for a foreign resource': { resource: 'https://evil.example/mcp' },
  };
  for (const [name, changes] of Object.entries(wrong)) {
    test(`a request ${name} is refused before anybody signs in`, async () => {
      const browser = newBrowser();
      const page = await browser.open(request(changes).url, location => location.startsWith(REDIRECT));
      const back = page.headers.location && new URL(page.headers.location).searchParams;
      assert.ok(page.status === 400 || back?.get('error'), `${page.status} ${page.headers.location}`);
      assert.equal(back?.get('code') ?? null, null);
      assert.ok(!browser.history.some(({ url }) => url.origin === world.idp.origin), 'the identity provider was asked');
    });
  }

  test('a client that nobody knows is refused on a page, not by a redirect', async () => {
    const answer = await newBrowser().request(request({ client: 'nobody' }).url);
    assert.equal(answer.status, 400);
    assert.equal(answer.headers.location, undefined);
  });

  test('a code is good once, for its client, redirect and verifier only', async () => {
    const take = async (changes, verifier) => {
      const made = request();
      return redeem(await approved(made.url), verifier ?? made.verifier, changes);
    };
    assert.equal((await take({}, 'x'.repeat(43))).json?.error, 'invalid_grant');
    assert.equal((await take({ redirect_uri: 'http://127.0.0.1:9/other' })).json?.error, 'invalid_grant');
    assert.match((await take({ client_id: 'nobody' })).json?.error, /invalid_(client|grant)/);
    assert.match((await take({ resource: 'https://evil.example/mcp' })).json?.error, /invalid_(target|grant)/);
    const { url, verifier } = request();
    const params = await approved(url);
    assert.equal(params.get('iss'), world.base);
    const first = await redeem(params, verifier);
    assert.equal(first.status, 200, first.text);
    assert.match(first.headers['cache-control'], /no-store/);
    assert.equal((await redeem(params, verifier)).json?.error, 'invalid_grant');
    const after = await post('/oauth/token', { grant_type: 'refresh_token', refresh_token: first.json.refresh_token, client_id: 'known' });
    assert.equal(after.json?.error, 'invalid_grant', 'a code that came twice ends what it gave');
  });

  test('a refresh token is good once, and its reuse ends the family', async () => {
    const { refresh_token: first } = await tokens();
    const refresh = token => post('/oauth/token', { grant_type: 'refresh_token', refresh_token: token, client_id: 'known' });
    const second = await refresh(first);
    assert.equal(second.status, 200, second.text);
    assert.notEqual(second.json.refresh_token, first);
    assert.equal((await refresh(first)).json?.error, 'invalid_grant');
    assert.equal((await refresh(second.json.refresh_token)).json?.error, 'invalid_grant');
  });

  test('a revoked refresh token is gone', async () => {
    const { refresh_token: token } = await tokens();
    assert.equal((await post('/oauth/revoke', { token, client_id: 'known' })).status, 200);
    assert.equal((await post('/oauth/token', { grant_type: 'refresh_token', refresh_token: token, client_id: 'known' })).json?.error, 'invalid_grant');
  });

  test('a callback that nobody waits for leads nowhere', async () => {
    for (const query of ['', '?code=x', '?code=x&state=y', `?code=x&state=y&iss=${encodeURIComponent(world.idp.origin)}`, '?error=access_denied&state=y']) {
      const answer = await newBrowser().request(`${world.base}/oauth/callback${query}`);
      assert.ok(answer.status >= 400 && answer.status < 500, `${query}: ${answer.status}`);
      assert.equal(answer.headers.location, undefined);
    }
  });

  test('the sign-in of one browser does not finish the request of another', async () => {
    const victim = newBrowser();
    const attacker = newBrowser();
    const stop = location => location.startsWith(`${world.base}/oauth/callback`);
    let page = await attacker.open(request().url, stop);
    // The page that asks for consent may come before the sign-in.
    if (!page.headers.location) page = await attacker.submit(page, { stop });
    const callback = page.headers.location;
    assert.ok(callback && stop(callback), `${page.status} ${page.url}`);
    const answer = await victim.open(callback, location => location.startsWith(REDIRECT));
    assert.equal(answer.headers.location, undefined);
    assert.ok(answer.status >= 400, `${answer.status}`);
  });

  test('a token of ours is good at its route and nowhere else', async () => {
    const { access_token: token } = await tokens();
    assert.equal((await echo(world.gateway, { token })).status, 200);
    const [head, body, signature] = token.split('.');
    for (const changed of [`${head}.${body}.${signature.slice(0, -4)}AAAA`, `${head}.${body}.`, `${head}..${signature}`]) {
      assert.equal((await echo(world.gateway, { token: changed })).status, 401);
    }
  });
});

describe('machines and enterprise grants', () => {
  const TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:';
  const assertion = (client, { aud = world.base, key = machine.privateKey } = {}) =>
    new jose.SignJWT({ jti: randomUUID() })
      .setProtectedHeader({ alg: 'ES256', kid: 'machine-1' })
      .setIssuer(client)
      .setSubject(client)
      .setAudience(aud)
      .setIssuedAt()
      .setExpirationTime('1m')
      .sign(key);
  const authenticated = client_assertion => ({
    resource: `${world.base}/mcp`,
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion,
  });
  const asMachine = client_assertion => post('/oauth/token', { grant_type: 'client_credentials', scope: 'mcp:read', ...authenticated(client_assertion) });
  const redeemJag = async (jag, client = 'agent') =>
    post('/oauth/token', { grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion: jag, ...authenticated(await assertion(client)) });

  /** An ID-JAG for alice, addressed to `audience`. */
  async function jagOf({ audience = world.base, resource = `${world.base}/mcp` } = {}) {
    const { id_token: idToken, client_id: client } = await tokenFor(world.idp, SERVERS['oidc-provider'], { scope: 'openid', exchange: true });
    const answer = await fetch(`${world.idp.origin}/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
        client_id: client,
        subject_token: idToken,
        subject_token_type: `${TOKEN_TYPE}id_token`,
        requested_token_type: `${TOKEN_TYPE}id-jag`,
        audience,
        resource,
        scope: 'mcp:read',
      }),
    });
    const { access_token: jag, ...rest } = await answer.json();
    assert.ok(jag, JSON.stringify(rest));
    return jag;
  }

  test('a machine proves itself with its key, once per assertion', async () => {
    const one = await assertion('machine');
    const answer = await asMachine(one);
    assert.equal(answer.status, 200, answer.text);
    const { sub, iss, aud } = jose.decodeJwt(answer.json.access_token);
    assert.deepEqual({ sub, iss, aud }, { sub: 'machine', iss: world.base, aud: `${world.base}/mcp` });
    assert.equal(answer.json.refresh_token, undefined);
    assert.equal((await asMachine(one)).json?.error, 'invalid_client', 'replayed');
    const { privateKey } = await jose.generateKeyPair('ES256');
    assert.equal((await asMachine(await assertion('machine', { key: privateKey }))).json?.error, 'invalid_client');
    assert.equal((await asMachine(await assertion('machine', { aud: 'https://evil.example' }))).json?.error, 'invalid_client');
  });

  test('a grant of the identity provider becomes a token of ours for the same person, once', async () => {
    const jag = await jagOf();
    const answer = await redeemJag(jag);
    assert.equal(answer.status, 200, answer.text);
    const { idp, aud } = jose.decodeJwt(answer.json.access_token);
    assert.deepEqual({ idp, aud }, { idp: { iss: world.idp.origin, sub: 'alice' }, aud: `${world.base}/mcp` });
    const call = await echo(world.gateway, { token: answer.json.access_token });
    assert.ok([200, 403].includes(call.status), `${call.status} ${call.text}`);
    assert.equal((await redeemJag(jag)).json?.error, 'invalid_grant', 'replayed');
  });

  test('a grant for another server, resource or client is refused', async () => {
    assert.equal((await redeemJag(await jagOf({ audience: 'https://evil.example' }))).json?.error, 'invalid_grant');
    assert.match((await redeemJag(await jagOf({ resource: 'https://evil.example/mcp' }))).json?.error, /invalid_(grant|target)/);
    assert.equal((await redeemJag(await jagOf(), 'other')).json?.error, 'invalid_grant');
    const { id_token: idToken } = await tokenFor(world.idp, SERVERS['oidc-provider'], { scope: 'openid' });
    assert.equal((await redeemJag(idToken)).json?.error, 'invalid_grant', 'an ID token is no grant');
  });
});

describe('clients named by their documents', () => {
  const callbacks = {};
  let own;
  let documents;
  before(async () => {
    for (const kind of CLIENTS) callbacks[kind] = await freePort();
    own = await startAuthServer({ authserver: { cimd: { enabled: true, allow: ['localhost'], allow_private_addresses: true } } });
    const document = kind => req => ({
      client_id: `https://${req.headers.host}/${kind}.json`,
      client_name: `Documented ${kind}`,
      redirect_uris: [`http://127.0.0.1:${callbacks[kind]}/callback`],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
      application_type: 'native',
    });
    documents = await serveJson(own.certs, Object.fromEntries(CLIENTS.map(kind => [`/${kind}.json`, document(kind)])));
  });
  after(async () => {
    await documents?.stop();
    await own?.stop();
  });

  for (const kind of CLIENTS) {
    test(`${kind} names its document, and the page says whose it is`, async () => {
      const cimd = `${documents.origin}/${kind}.json`;
      let page;
      const open = async url => {
        const browser = new Browser({ ca: [own.certs.ca] });
        await browser.approve(url);
        page = browser.history.find(({ url: at, text }) => at.origin === own.base && formsOf(text, at).length > 0);
      };
      const lines = await own.gateway.client(kind, [CALL], { oauth: { cimd, port: callbacks[kind] }, open });
      stepsOf(lines);
      assert.equal(said(line(lines, 'call', CALL.name)), 'through our own');
      assert.ok(page?.text.includes(`Documented ${kind}`) && page.text.includes('localhost'), 'the page names the client and its host');
    });
  }
});
