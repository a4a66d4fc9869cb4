// The same authorizations in a real browser, on the real sign-in and consent pages of oidc-provider.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { signInAndConsent, startChromium } from '../chromium.mjs';
import { startServer } from '../harness.mjs';
import { line, said, stepsOf } from './expect.mjs';
import { startGuarded } from './oauth.mjs';

const CALL = { op: 'call', name: 'strict__echo', args: { message: 'seen by a person' } };

describe('in Chromium at oidc-provider', () => {
  let as;
  let world;
  let chromium;
  before(async () => {
    as = await startServer('fixtures/as-oidc.mjs', { env: { AS: JSON.stringify({ pages: true, groups: { alice: ['eng'] } }) } });
    world = await startGuarded({ issuers: [{ issuer: as.origin, jwks: `${as.origin}/jwks`, algorithms: ['ES256'] }] });
    chromium = await startChromium([{ origin: world.gateway.base, ca: world.gateway.ca }]);
  });
  after(async () => {
    await chromium?.stop();
    await world?.stop();
    await as?.stop();
  });

  /** Opens what the SDK wants opened, as `login`; notes the texts of the pages. */
  const asPerson = (login, texts) => async url => {
    const { page, close } = await chromium.person();
    page.on('load', async () => texts.push(await page.content().catch(() => '')));
    await page.goto(url);
    await signInAndConsent(page, login);
    await page.waitForURL(/\/callback\?/);
    await close();
  };

  for (const kind of ['ts1', 'ts2']) {
    test(`${kind}: a person signs in, consents, and the call goes through`, async () => {
      const texts = [];
      const lines = await world.gateway.client(kind, [CALL], { oauth: { name: `Client for ${kind}` }, open: asPerson('alice', texts) });
      stepsOf(lines);
      assert.equal(said(line(lines, 'call', CALL.name)), 'seen by a person');
      assert.ok(texts.some(text => text.includes('name="login"')), 'the sign-in page');
      assert.ok(texts.some(text => text.includes('mcp:read')), 'the consent page names the scope');
    });
  }

  test('someone else signs in and gets nothing', async () => {
    const lines = await world.gateway.client('ts2', [{ op: 'list' }, CALL], { oauth: {}, open: asPerson('mallory', []) });
    assert.deepEqual(line(lines, 'list').result.tools, []);
    assert.equal(line(lines, 'call', CALL.name).ok, false);
  });

  test('the browser trusts the certificate of the gateway and no other', async () => {
    const { page, close } = await chromium.person();
    const answer = await page.goto(`${world.gateway.base}/.well-known/oauth-protected-resource/mcp`);
    assert.equal(answer.status(), 200);
    await close();
    const stranger = await startChromium();
    try {
      const { page: other } = await stranger.person();
      await assert.rejects(other.goto(world.gateway.base), /ERR_CERT_AUTHORITY_INVALID/);
    } finally {
      await stranger.stop();
    }
  });
});
