// Headless Chromium for real sign-in and consent pages. It trusts exactly the servers it is given.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect } from 'node:tls';
import { chromium } from 'playwright-core';

export const EXECUTABLE = process.env.CHROMIUM ?? '/usr/bin/chromium';
const ACTION_MS = 30_000;

/** The digest of the key of a server whose certificate `ca` signed. */
function keyDigest({ origin, ca }) {
  const { hostname, port } = new URL(origin);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port, ca: readFileSync(ca) }, () => {
      const key = socket.getPeerX509Certificate().publicKey.export({ type: 'spki', format: 'der' });
      socket.destroy();
      resolve(createHash('sha256').update(key).digest('base64'));
    });
    socket.on('error', reject);
  });
}

/** Starts Chromium; it trusts `servers` ([{origin, ca}]). `person()` is a fresh profile with a page of its own. */
export async function startChromium(servers = []) {
  // Nothing but loopback: pages that want fonts of the internet do without.
  const resolver = '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost';
  const args = ['--disable-gpu', '--disable-dev-shm-usage', '--no-proxy-server', resolver];
  // The sandbox needs a user that is not root.
  if (process.getuid() === 0) args.push('--no-sandbox');
  if (servers.length > 0) {
    args.push(`--ignore-certificate-errors-spki-list=${(await Promise.all(servers.map(keyDigest))).join(',')}`);
  }
  const browser = await chromium.launch({ executablePath: EXECUTABLE, headless: true, args });
  return {
    version: browser.version(),
    stop: () => browser.close(),
    person: async (options = {}) => {
      const context = await browser.newContext(options);
      context.setDefaultTimeout(ACTION_MS);
      const page = await context.newPage();
      const answers = [];
      page.on('response', response => answers.push(response));
      return { context, page, answers, close: () => context.close() };
    },
  };
}

/** Signs in on the pages of oidc-provider and consents, when it asks; any password is good there. */
export async function signInAndConsent(page, login) {
  for (let pages = 0; pages < 4; pages += 1) {
    if (await page.locator('input[name=login]').count()) {
      await page.locator('input[name=login]').fill(login);
      await page.locator('input[name=password]').fill('any password');
      await page.locator('button[type=submit]').click();
    } else if (await page.locator('form[action*="/interaction/"] button[type=submit]').count()) {
      await page.locator('button[type=submit]').click();
    } else {
      return;
    }
    await page.waitForLoadState();
  }
}
