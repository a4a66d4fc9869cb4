// People linking accounts of their own at an upstream: the SDK clients, the pages, the vault's tokens.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Browser, formsOf } from '../browserless.mjs';
import { freePort, startServer } from '../harness.mjs';
import { gatewayClient, upstreamOf } from './authserver.mjs';
import { line, said, stepsOf } from './expect.mjs';
import { SERVERS, rpc, startGuarded, tokenFor } from './oauth.mjs';

const CAPABILITIES = JSON.stringify({ elicitation: { form: {}, url: {} } });
const CLIENTS = ['ts1', 'ts2', 'ts2-legacy'];
const call = name => ({ op: 'call', name: `saas__${name}`, args: {} });
const WORDS = 'the words of the upstream';

/** A corporate identity provider, and a SaaS with an authorization server and accounts of its own. */
async function startLinked() {
  const port = await freePort();
  const base = `https://127.0.0.1:${port}`;
  const stops = [];
  const stop = async () => {
    for (const end of stops.reverse()) await end();
  };
  try {
    const server = SERVERS['oidc-provider'];
    const corp = await server.start({ clients: [gatewayClient(base)] });
    stops.push(() => corp.stop());
    const saas = await server.start({ account: 'account-at-the-saas', refresh: true });
    stops.push(() => saas.stop());
    const guard = { issuer: saas.origin, jwks: `${saas.origin}/jwks`, scopes: { change: 'mcp:write' } };
    const upstream = await startServer('fixtures/guarded-2026.mjs', { env: { GUARD: JSON.stringify(guard) } });
    stops.push(() => upstream.stop());
    const { gateway, stop: stopGateway } = await startGuarded({
      port,
      issuers: [{ issuer: corp.origin, jwks: `${corp.origin}/jwks`, algorithms: ['ES256'] }],
      config: {
        authserver: { enabled: true, upstream: upstreamOf(corp) },
        routes: [{ path: '/mcp', upstreams: ['saas'], scopes: ['mcp:read'] }],
        upstreams: [{ name: 'saas', http: { url: upstream.url }, allow_private_addresses: true, credential: { per_user: {} } }],
      },
      policies: { rules: [{ id: 'all', effect: 'allow', principals: ['any'], tools: ['saas__*'], classes: ['read', 'write', 'destructive'] }] },
    });
    stops.push(stopGateway);
    const token = async account => (await tokenFor(corp, server, { resource: `${base}/mcp`, account })).access_token;
    return { base, corp, saas, upstream, gateway, token, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

const grants = async as =>
  (await as.seen()).requests.filter(({ method, url }) => method === 'POST' && url.startsWith('/token')).map(({ body }) => new URLSearchParams(body).get('grant_type'));

describe('linking an account', () => {
  let world;
  before(async () => {
    world = await startLinked();
  });
  after(() => world?.stop());

  /** A browser in which `account` is signed in at the company as soon as it is asked. */
  const browserOf = account => new PersonalBrowser(account, world);

  /** Runs a plan as `account`, whose own browser opens the links. */
  async function run(kind, account, plan, { env = {}, opener = account } = {}) {
    const links = [];
    const open = async link => {
      const browser = browserOf(opener);
      links.push({ link, page: await browser.approve(link), browser });
    };
    const lines = await world.gateway.client(kind, plan, { token: await world.token(account), links: true, open, env: { CAPABILITIES, ...env } });
    return { lines, links };
  }

  for (const kind of CLIENTS) {
    test(`${kind}: a link is offered, opened, and the call goes through as the account`, async () => {
      const account = `person-of-${kind}`;
      const { lines, links } = await run(kind, account, [call('whoami'), call('whoami')]);
      stepsOf(lines);
      const who = JSON.parse(said(line(lines, 'call', 'saas__whoami')));
      assert.equal(who.sub, 'account-at-the-saas');
      assert.equal(who.aud, world.upstream.url);
      assert.equal(links.length, 1, 'one link for two calls');
      assert.ok(links[0].link.startsWith(`${world.base}/connect/`), links[0].link);
      assert.ok(!links[0].link.includes(account), 'the link says who it is for');
      assert.equal(links[0].page.status, 200);
    });
  }

  test('a client that cannot open links is told the link in plain words', async () => {
    const { lines, links } = await run('ts2', 'plain-person', [call('whoami')], { env: { CAPABILITIES: '{}' } });
    stepsOf(lines);
    assert.equal(links.length, 1);
    assert.equal(JSON.parse(said(line(lines, 'call', 'saas__whoami'))).sub, 'account-at-the-saas');
  });

  test('a link opened by somebody else links nothing', async () => {
    await world.saas.reset();
    const { links, lines } = await run('ts2', 'victim', [call('whoami')], { opener: 'attacker' });
    assert.ok(links.length >= 1);
    for (const { page } of links) assert.ok(page.status >= 400 && page.status < 500, `${page.status} ${page.text.slice(0, 300)}`);
    assert.deepEqual(await grants(world.saas), [], 'a code was redeemed');
    const last = line(lines, 'call', 'saas__whoami');
    assert.ok(!last.ok || last.result.isError || /connect/.test(JSON.stringify(last.result)), JSON.stringify(last));
  });

  test('a link is of no use once it was used, or to whoever finds it', async () => {
    const { links } = await run('ts2', 'once', [call('whoami')]);
    await world.saas.reset();
    await browserOf('once').approve(links[0].link).catch(() => {});
    await browserOf('finder').approve(links[0].link).catch(() => {});
    const again = await run('ts2', 'once', [call('whoami')]);
    assert.equal(again.links.length, 0, 'it is still linked');
    assert.equal(JSON.parse(said(line(again.lines, 'call', 'saas__whoami'))).sub, 'account-at-the-saas');
  });

  test('a tool that needs more scope leads to one more link, with all scopes', async () => {
    const wanted = [];
    const { lines, links } = await run('ts2', 'stepper', [call('whoami'), call('change'), call('change')]);
    stepsOf(lines);
    for (const { browser } of links) {
      const at = browser.history.find(({ url }) => url.origin === world.saas.origin && url.pathname === '/auth');
      wanted.push(at.url.searchParams.get('scope').split(' '));
    }
    assert.equal(links.length, 2);
    assert.ok(!wanted[0].includes('mcp:write') && wanted[1].includes('mcp:write') && wanted[1].includes('mcp:read'), JSON.stringify(wanted));
    assert.equal(JSON.parse(said(line(lines, 'call', 'saas__change'))).sub, 'account-at-the-saas');
  });

  test('a refused token is refreshed once, however many calls wait', async () => {
    const { lines } = await run('ts2', 'refresher', [call('whoami')]);
    stepsOf(lines);
    await world.saas.reset();
    await fetch(`${world.upstream.origin}/refuse`, { method: 'POST' });
    // Tokens of the second in which the upstream began to refuse are refused too.
    await new Promise(done => setTimeout(done, 2100));
    const steps = Array.from({ length: 8 }, () => call('whoami'));
    const again = await run('ts2', 'refresher', [{ op: 'parallel', steps }]);
    assert.equal(again.links.length, 0, 'no new link');
    for (let at = 0; at < steps.length; at += 1) said(line(again.lines, 'call', 'saas__whoami', at));
    assert.deepEqual(await grants(world.saas), ['authorization_code', 'refresh_token'].slice(1), 'one refresh');
  });

  test('what the upstream says about tokens never reaches the client', async () => {
    const token = await world.token('stranger');
    const answer = await rpc(world.gateway, 'tools/call', { name: 'saas__whoami', arguments: {} }, { token });
    assert.equal(answer.status, 200);
    assert.ok(!answer.text.includes(WORDS) && !answer.text.includes(world.saas.origin), answer.text);
    assert.doesNotMatch(answer.headers['www-authenticate'] ?? '', /./);
  });

  test('an unlinked upstream does not spoil the list', async () => {
    const token = await world.token('lister');
    const answer = await rpc(world.gateway, 'tools/list', {}, { token });
    assert.equal(answer.status, 200);
    assert.ok(Array.isArray(answer.json?.result?.tools), answer.text);
  });

  test('an account is unlinked on its page, and the next call offers a link again', async () => {
    const { lines } = await run('ts2', 'leaver', [call('whoami')]);
    stepsOf(lines);
    const browser = browserOf('leaver');
    const page = await browser.open(`${world.base}/connect/`);
    assert.equal(page.status, 200, page.text);
    assert.ok(formsOf(page.text, page.url).length > 0 && page.text.includes('saas'), 'what is linked is listed');
    await world.saas.reset();
    await browser.submit(page);
    const { links } = await run('ts2', 'leaver', [call('whoami')]);
    assert.equal(links.length, 1, 'a new link');
    const revoked = (await world.saas.seen()).requests.filter(({ url }) => url.startsWith('/token/revocation'));
    assert.ok(revoked.length >= 1, 'the token was not revoked at the upstream');
  });

  test('pages cannot be framed and their cookies are bound to the host', async () => {
    const browser = browserOf('reader');
    const page = await browser.open(`${world.base}/connect/`);
    assert.match(page.headers['content-security-policy'], /frame-ancestors 'none'/);
    assert.equal(page.headers['x-frame-options'], 'DENY');
    for (const cookie of browser.history.filter(({ url }) => url.origin === world.base).flatMap(({ headers }) => headers['set-cookie'] ?? [])) {
      assert.match(cookie, /^__Host-.*;\s*Secure/i);
    }
  });

  test('no token of the upstream is ever seen by a client, nor one of a client by the upstream', async () => {
    const { requests } = await world.upstream.seen();
    const shown = requests.map(({ headers }) => headers.authorization).filter(Boolean).map(value => value.replace('Bearer ', ''));
    assert.ok(shown.length > 0);
    const records = JSON.stringify(world.gateway.records());
    for (const token of new Set(shown)) {
      const piece = token.split('.')[2].slice(0, 16);
      assert.ok(!records.includes(piece) && !world.gateway.log().includes(piece), 'an upstream token in a log or record');
    }
    const own = (await world.token('canary')).split('.')[2];
    assert.ok(!JSON.stringify(requests).includes(own.slice(0, 16)));
  });
});

/** Signs in at the company as one person, by the hint that the test IdP takes in its request. */
class PersonalBrowser extends Browser {
  #account;
  #corp;

  constructor(account, { gateway, corp }) {
    super({ ca: [gateway.ca] });
    this.#account = account;
    this.#corp = corp.origin;
  }

  async request(target, options) {
    const url = new URL(target);
    if (url.origin === this.#corp && url.pathname === '/auth') url.searchParams.set('login_hint', this.#account);
    return super.request(url, options);
  }
}
