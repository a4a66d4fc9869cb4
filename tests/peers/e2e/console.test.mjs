// The console in a real browser: people of oidc-provider sign in, decide, and see what others do.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { AxeBuilder } from '@axe-core/playwright';
import { listening, startDesk } from './desk.mjs';

const PAGES = ['approvals', 'leases', 'activity', 'tools', 'access', 'upstreams', 'policy', 'audit'];

// What a page could take for more than text. Each would set `window.pwned` or reach out, if it ran.
const HOSTILE = {
  id: '</pre><script>window.pwned=1</script><img src=x onerror="window.pwned=2">',
  body: `"><svg onload=window.pwned=3> \u202egnp.exe\u200b \u001b[2J\u0007 ' onfocus='window.pwned=4' autofocus {{constructor.constructor('window.pwned=5')()}}`,
};

const write = (id, body = 'x') => ['strict__write_note', { id, body }];

describe('the console', () => {
  let desk;
  const open = [];
  const person = async (...args) => {
    const one = await desk.person(...args);
    open.push(one);
    return one.page;
  };
  before(async () => {
    desk = await startDesk();
  });
  after(async () => {
    await Promise.all(open.map(one => one.close()));
    await desk?.stop();
  });

  test('a call is seen without loading the page again, approved, and let through once', async () => {
    const page = await person('sam');
    await listening(page);
    assert.match(await page.textContent('main'), /Nobody waits/);
    const id = await desk.ask('alice', ...write('from-alice', 'hello'));
    const link = page.locator(`a[href="/console/approvals/${id}"]`);
    await link.waitFor();
    assert.match(await page.textContent('#announce'), /1 pending/, 'who cannot see is told');
    await link.click();
    await page.waitForURL(`${desk.admin}/console/approvals/${id}`);
    const text = await page.textContent('main');
    for (const part of ['alice', 'strict__write_note', 'from-alice', 'notes-by-sre', 'group:sre', 'sha256:']) assert.ok(text.includes(part), part);
    await page.getByLabel('Reason').fill('read with alice');
    await page.getByRole('button', { name: 'Approve this call' }).click();
    await page.waitForSelector('.badge:text-is("approved")');
    const done = await desk.call('alice', ...write('from-alice', 'hello'));
    assert.notEqual(done.isError, true, JSON.stringify(done));
    await page.waitForSelector('.badge:text-is("used")');
    const again = await desk.ask('alice', ...write('from-alice', 'hello'));
    assert.notEqual(again, id, 'a yes is for one call');
  });

  test('a lease lets similar calls through as it says, until it is revoked', async () => {
    const minutes = body => ({ id: 'minutes', body });
    const id = await desk.ask('alice', 'strict__write_note', minutes('monday'));
    const page = await person('sam', `/console/approvals/${id}`);
    await page.getByText('Allow similar calls for a while').click();
    await page.getByLabel('Minutes').fill('10');
    await page.getByLabel('Calls', { exact: true }).fill('3');
    await page.getByLabel('Argument that may differ').fill('/body');
    await page.getByLabel('as long as it is').selectOption('one_of');
    await page.getByLabel('these, one a line').fill('monday\ntuesday\nwednesday');
    await page.getByRole('button', { name: 'Approve these calls' }).click();
    await page.waitForSelector('.badge:text-is("approved")');
    const told = await desk.call('alice', 'strict__write_note', minutes('tuesday'));
    assert.notEqual(told.isError, true, JSON.stringify(told));
    const outside = await desk.call('alice', 'strict__write_note', minutes('sunday'));
    assert.equal(outside._meta['dev.portcullis/denial'].reason, 'approval_required');
    await page.goto(`${desk.admin}/console/leases`);
    await page.locator('li', { has: page.locator(`a[href="/console/approvals/${id}"]`) }).getByRole('button', { name: 'Revoke' }).click();
    await page.waitForSelector('.badge:text-is("withdrawn")');
    const late = await desk.call('alice', 'strict__write_note', minutes('wednesday'));
    assert.equal(late._meta['dev.portcullis/denial'].reason, 'approval_required');
  });

  test('a denied call stays denied, with the reason on the page', async () => {
    const id = await desk.ask('bob', ...write('from-bob'));
    const page = await person('sue', `/console/approvals/${id}`);
    await page.getByLabel('Reason').fill('not on a Friday');
    await page.getByRole('button', { name: 'Deny' }).click();
    await page.waitForSelector('.badge:text-is("denied")');
    assert.match(await page.textContent('blockquote'), /not on a Friday/);
    const told = await desk.call('bob', ...write('from-bob'));
    assert.equal(told._meta['dev.portcullis/denial'].reason, 'approval_denied');
  });

  test('a quorum of two is two people, and one sees what the other said', async () => {
    const id = await desk.ask('alice', 'strict__add', { a: 1, b: 2 });
    const [sam, sue] = [await person('sam', `/console/approvals/${id}`), await person('sue', `/console/approvals/${id}`)];
    await listening(sue);
    await sam.getByRole('button', { name: 'Approve this call' }).click();
    await sam.waitForSelector('text=1 of 2');
    assert.equal(await sam.getByRole('button', { name: 'Approve this call' }).count(), 0, 'nobody votes twice');
    await sue.waitForSelector('#state :text("1 of 2")');
    await sue.getByRole('button', { name: 'Approve this call' }).click();
    await sue.waitForSelector('.badge:text-is("approved")');
    await sam.waitForSelector('#state .badge:text-is("approved")');
    assert.match(JSON.stringify(await desk.call('alice', 'strict__add', { a: 1, b: 2 })), /"3"|: ?3/);
  });

  test('who asked does not approve, nor does who only looks', async () => {
    const id = await desk.ask('alice', ...write('own'));
    const alice = await person('alice', `/console/approvals/${id}`);
    assert.equal(await alice.getByRole('button', { name: 'Approve this call' }).count(), 0);
    assert.equal(await alice.getByRole('button', { name: 'Deny' }).count(), 0);
    await alice.getByRole('button', { name: 'Take it back' }).click();
    await alice.waitForSelector('.badge:text-is("withdrawn")');
    const second = await desk.ask('alice', ...write('other'));
    const vera = await person('vera', `/console/approvals/${second}`);
    assert.equal(await vera.locator('#decision button').count(), 0);
    const mallory = await desk.chromium.person();
    open.push(mallory);
    await mallory.page.goto(`${desk.admin}/console/approvals/${second}`);
    await mallory.page.getByRole('link', { name: 'Sign in' }).click();
    const { signInAndConsent } = await import('../chromium.mjs');
    await signInAndConsent(mallory.page, 'mallory');
    await mallory.page.waitForURL(`${desk.admin}/console/approvals/${second}`);
    assert.match(await mallory.page.textContent('body'), /no role of yours/);
  });

  test('hostile arguments are inert, whatever is done with the page', async () => {
    const id = await desk.ask('alice', 'strict__write_note', HOSTILE);
    const page = await person('sam', `/console/approvals/${id}`);
    const outside = [];
    page.on('request', request => {
      if (!request.url().startsWith(desk.admin)) outside.push(request.url());
    });
    const problems = [];
    page.on('console', message => problems.push(message.text()));
    for (const path of [`/console/approvals/${id}`, '/console/approvals', '/console/activity', '/console/activity?tool=%3Cscript%3Ewindow.pwned%3D6%3C/script%3E']) {
      await page.goto(`${desk.admin}${path}`);
      assert.equal(await page.evaluate(() => window.pwned), undefined, path);
      assert.equal(await page.locator('main img, main svg[onload], main script, main [onfocus]').count(), 0, path);
      const text = await page.textContent('main');
      assert.doesNotMatch(text, /[\u202a-\u202e\u200b-\u200f\u0007\u001b]/, path);
    }
    await page.goto(`${desk.admin}/console/approvals/${id}`);
    assert.ok((await page.textContent('pre.arguments')).includes('\\u202egnp.exe\\u200b'), 'what hides is shown');
    assert.deepEqual(outside, []);
    assert.deepEqual(problems.filter(text => /Content Security Policy|Refused/.test(text)), []);
  });

  test('a very long argument is cut, said to be, and the page stays quick', async () => {
    const id = await desk.ask('alice', ...write('long', 'y'.repeat(3 * 1024 * 1024)));
    const page = await person('sam', `/console/approvals/${id}`);
    assert.match(await page.textContent('main'), /more bytes are not shown/);
    assert.ok((await page.content()).length < 300_000);
  });

  test('no page can be framed, and none runs what it did not bring', async () => {
    const page = await person('sam');
    const answer = await page.goto(`${desk.admin}/console/approvals`);
    assert.match(answer.headers()['content-security-policy'], /frame-ancestors 'none'/);
    const ran = await page.evaluate(() => {
      const script = document.createElement('script');
      try {
        script.textContent = 'window.injected = true';
        document.body.append(script);
      } catch {
        // Trusted types refuse the text already.
      }
      return window.injected;
    });
    assert.equal(ran, undefined);
  });

  for (const scheme of ['light', 'dark']) {
    test(`axe finds nothing serious on any page, ${scheme}`, async () => {
      const id = await desk.ask('alice', ...write(`axe-${scheme}`));
      const page = await person('sam', '/console/approvals', { colorScheme: scheme });
      const records = await desk.gateway.records();
      const record = records.findLast(entry => entry.kind === 'outcome' && entry.name).id;
      for (const path of [...PAGES, `approvals/${id}`, `activity/${record}`, 'access?as=sub%3Dalice%2Cgroups%3Deng&call=strict__echo']) {
        await page.goto(`${desk.admin}/console/${path}`);
        const { violations } = await new AxeBuilder({ page }).withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']).analyze();
        const serious = violations.filter(({ impact }) => ['serious', 'critical', 'moderate'].includes(impact));
        assert.deepEqual(serious.map(({ id: rule, nodes }) => `${path}: ${rule}: ${nodes[0].html}`), []);
      }
    });
  }

  test('by keyboard alone: skip, find, decide', async () => {
    const id = await desk.ask('alice', ...write('by-keyboard'));
    const page = await person('sam', `/console/approvals/${id}`);
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to the content');
    await page.keyboard.press('Enter');
    for (let at = 0; at < 20; at += 1) {
      await page.keyboard.press('Tab');
      if (await page.evaluate(() => document.activeElement.id === 'reason')) break;
    }
    await page.keyboard.type('by keyboard');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.waitForSelector('.badge:text-is("approved")');
  });

  test('every page fits a phone', async () => {
    const page = await person('sam', '/console/approvals', { viewport: { width: 360, height: 740 } });
    for (const path of PAGES) {
      await page.goto(`${desk.admin}/console/${path}`);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.ok(wide <= 0, `${path}: ${wide} pixels too wide`);
    }
  });

  test('signed out, the session is of no use, and the log has no secret of it', async () => {
    const one = await desk.person('olga');
    open.push(one);
    const cookies = await one.context.cookies();
    const session = cookies.find(({ name }) => name === 'portcullis-console');
    assert.ok(session.httpOnly && session.sameSite === 'Strict');
    await one.page.getByRole('button', { name: 'Sign out' }).click();
    await one.page.waitForSelector('text=You are signed out');
    const answer = await fetch(`${desk.admin}/console/approvals`, { headers: { cookie: `${session.name}=${session.value}` } });
    assert.equal(answer.status, 401);
    assert.ok(!desk.gateway.log().includes(session.value));
  });
});
