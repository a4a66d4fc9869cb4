// The gateway's own pages in Chromium, with oidc-provider's real pages as those of the company.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { signInAndConsent, startChromium } from '../chromium.mjs';
import { freePort, startServer } from '../harness.mjs';
import { gatewayClient, startAuthServer, upstreamOf } from './authserver.mjs';
import { line, said, stepsOf } from './expect.mjs';
import { GROUPS, SERVERS, startGuarded, tokenFor } from './oauth.mjs';

const CALL = { op: 'call', name: 'strict__echo', args: { message: 'consented' } };
const WHOAMI = { op: 'call', name: 'saas__whoami', args: {} };
const REDIRECT = 'http://127.0.0.1:9/callback';
const CAPABILITIES = JSON.stringify({ elicitation: { form: {}, url: {} } });
const APPROVE = 'form[method=post] button:not([value=deny]):not([value=cancel])';

/** Signs in at the company, and says yes on every page of the gateway; {texts} of the gateway's pages. */
async function goThrough(page, base, login, { until }) {
  const texts = [];
  for (let pages = 0; pages < 8 && !until(page.url()); pages += 1) {
    const here = page.url();
    if (here.startsWith(base)) {
      texts.push(await page.locator('body').innerText());
      if ((await page.locator(APPROVE).count()) === 0) break;
      await Promise.all([page.waitForURL(url => String(url) !== here), page.locator(APPROVE).first().click()]);
    } else {
      await signInAndConsent(page, login);
    }
    await page.waitForLoadState();
  }
  return texts;
}

/** A page that is there by itself, and is not when another site frames it. */
async function unframable({ page }, url) {
  const html = `<iframe src="${String(url).replaceAll('&', '&amp;')}"></iframe>`;
  const framing = createServer((_req, res) => res.writeHead(200, { 'content-type': 'text/html' }).end(html));
  await new Promise(done => framing.listen(0, '127.0.0.1', done));
  try {
    const alone = await page.goto(String(url));
    assert.equal(alone.status(), 200);
    await page.goto(`http://127.0.0.1:${framing.address().port}/`);
    await page.waitForLoadState('networkidle');
    const [frame] = page.frames().slice(1);
    assert.match(frame.url(), /^chrome-error:/, 'it is framed');
  } finally {
    await new Promise(done => framing.close(done));
  }
}

describe('the consent page in Chromium', () => {
  let world;
  let chromium;
  before(async () => {
    world = await startAuthServer({ idp: { pages: true }, authserver: { clients: [{ client_id: 'known', name: 'Known client', redirect_uris: [REDIRECT] }] } });
    chromium = await startChromium([{ origin: world.base, ca: world.certs.ca }]);
  });
  after(async () => {
    await chromium?.stop();
    await world?.stop();
  });

  for (const kind of ['ts1', 'ts2']) {
    test(`${kind}: a person signs in at the company, reads what is asked, and consents`, async () => {
      let texts;
      let cookies;
      const open = async url => {
        const { page, context, close } = await chromium.person();
        await page.goto(url);
        texts = await goThrough(page, world.base, 'alice', { until: at => at.includes('/callback?') && !at.startsWith(world.base) });
        cookies = (await context.cookies(world.base)).filter(({ name }) => name.startsWith('__'));
        await close();
      };
      const lines = await world.gateway.client(kind, [CALL], { oauth: { name: `Assistant ${kind}` }, open });
      stepsOf(lines);
      assert.equal(said(line(lines, 'call', CALL.name)), 'consented');
      const text = texts.join('\n');
      for (const wanted of [`Assistant ${kind}`, '127.0.0.1', 'Read with tools']) assert.ok(text.includes(wanted), `${wanted} is not on the page: ${text}`);
      assert.ok(cookies.length > 0, 'no cookie');
      for (const cookie of cookies) {
        assert.ok(cookie.name.startsWith('__Host-') && cookie.secure && cookie.httpOnly && cookie.path === '/', JSON.stringify(cookie));
        assert.ok(['Lax', 'Strict'].includes(cookie.sameSite));
      }
    });
  }

  test('the page cannot be framed', async () => {
    const url = new URL(`${world.base}/oauth/authorize`);
    const query = { response_type: 'code', client_id: 'known', redirect_uri: REDIRECT, scope: 'mcp:read', state: 's', resource: `${world.base}/mcp`, code_challenge: 'a'.repeat(43), code_challenge_method: 'S256' };
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    const person = await chromium.person();
    await unframable(person, url);
    await person.close();
  });
});

describe('the pages for linking accounts in Chromium', () => {
  let base;
  let corp;
  let saas;
  let upstream;
  let world;
  let chromium;
  before(async () => {
    const server = SERVERS['oidc-provider'];
    saas = await server.start({ pages: true, refresh: true });
    const guard = { issuer: saas.origin, jwks: `${saas.origin}/jwks` };
    upstream = await startServer('fixtures/guarded-2026.mjs', { env: { GUARD: JSON.stringify(guard) } });
    const port = await freePort();
    base = `https://127.0.0.1:${port}`;
    corp = await server.start({ groups: GROUPS, clients: [gatewayClient(base)], pages: true });
    world = await startGuarded({
      port,
      issuers: [{ issuer: corp.origin, jwks: `${corp.origin}/jwks`, algorithms: ['ES256'] }],
      config: {
        authserver: { enabled: true, upstream: upstreamOf(corp) },
        routes: [{ path: '/mcp', upstreams: ['saas'] }],
        upstreams: [{ name: 'saas', http: { url: upstream.url }, allow_private_addresses: true, credential: { per_user: {} } }],
      },
      policies: { rules: [{ id: 'all', effect: 'allow', principals: ['any'], tools: ['saas__*'], classes: ['read', 'write', 'destructive'] }] },
    });
    chromium = await startChromium([{ origin: base, ca: world.gateway.ca }]);
  });
  after(async () => {
    await chromium?.stop();
    await world?.stop();
    for (const server of [corp, saas, upstream]) await server?.stop();
  });

  /** A token of the company for `account`, whose sign-in page is filled in without a screen. */
  const token = async account => (await tokenFor(corp, SERVERS['oidc-provider'], { resource: `${base}/mcp`, account, pages: true })).access_token;

  /** One person at the pages: the company's login, the gateway's, the SaaS's login. */
  async function link(url, { company, account }) {
    const { page, close } = await chromium.person();
    try {
      const answer = await page.goto(url);
      const texts = [];
      let last = answer;
      page.on('response', response => {
        if (response.frame() === page.mainFrame() && response.request().isNavigationRequest()) last = response;
      });
      for (let pages = 0; pages < 10; pages += 1) {
        const here = page.url();
        if (here.startsWith(base)) {
          texts.push(await page.locator('body').innerText());
          if ((await page.locator(APPROVE).count()) === 0) break;
          await Promise.all([page.waitForURL(to => String(to) !== here), page.locator(APPROVE).first().click()]);
        } else {
          await signInAndConsent(page, here.startsWith(corp.origin) ? company : account);
        }
        await page.waitForLoadState();
      }
      return { status: last.status(), text: texts.join('\n'), at: page.url() };
    } finally {
      await close();
    }
  }

  test('a person signs in at the company and at the upstream, and the call goes through', async () => {
    const seen = [];
    const open = async url => void seen.push(await link(url, { company: 'alice', account: 'alice-at-saas' }));
    const lines = await world.gateway.client('ts2', [WHOAMI], { token: await token('alice'), links: true, open, env: { CAPABILITIES } });
    stepsOf(lines);
    assert.equal(JSON.parse(said(line(lines, 'call', WHOAMI.name))).sub, 'alice-at-saas');
    assert.equal(seen.length, 1);
    assert.ok(seen[0].text.includes('saas'), `the pages name the upstream: ${seen[0].text}`);
  });

  test('the list of accounts cannot be framed', async () => {
    const person = await chromium.person();
    await person.page.goto(`${base}/connect/`);
    await goThrough(person.page, base, 'alice', { until: at => at === `${base}/connect/` });
    await unframable(person, `${base}/connect/`);
    await person.close();
  });

  test('another person who opens the link is refused and links nothing', async () => {
    await saas.reset();
    const seen = [];
    const open = async url => void seen.push(await link(url, { company: 'mallory', account: 'mallory-at-saas' }));
    const lines = await world.gateway.client('ts2', [WHOAMI], { token: await token('bob'), links: true, open, env: { CAPABILITIES } });
    assert.ok(seen.length > 0 && seen.every(({ status, at }) => status >= 400 && at.startsWith(base)), JSON.stringify(seen));
    assert.ok(!JSON.stringify(line(lines, 'call', WHOAMI.name)).includes('mallory-at-saas'));
    const codes = (await saas.seen()).requests.filter(({ method, url }) => method === 'POST' && url === '/token');
    assert.deepEqual(codes, []);
  });
});
