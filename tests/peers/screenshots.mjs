// Pictures of every page of the console, light and dark, on a phone and on a desktop: docs/images/console-*.png.
//   PORTCULLIS_BIN=target/debug/portcullis node screenshots.mjs
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { HERE } from './harness.mjs';
import { startDesk } from './e2e/desk.mjs';

const OUT = resolve(HERE, '../../docs/images');
const SIZES = { desktop: { width: 1200, height: 760 }, phone: { width: 390, height: 844 } };

mkdirSync(OUT, { recursive: true });
const desk = await startDesk();
try {
  for (let n = 0; n < 24; n += 1) {
    await desk.call(n % 3 ? 'alice' : 'bob', 'strict__echo', { message: n % 7 === 3 ? 'AKIAIOSFODNN7EXAMPLE' : `hello ${n}` });
    if (n % 5 === 0) await desk.call('vera', 'strict__region', { region: 'north' });
  }
  const used = await desk.ask('alice', 'strict__write_note', { id: 'minutes', body: 'The meeting moved to Thursday.' });
  const sum = await desk.ask('bob', 'strict__add', { a: 19, b: 23 });
  const id = await desk.ask('alice', 'strict__write_note', {
    id: 'rollout',
    body: 'Deploy 4.2 to the north region after \u202e31:81\u202c, then tell the desk.',
  });
  const weekly = await desk.ask('bob', 'strict__write_note', { id: 'weekly', body: 'Nothing to report.' });
  const api = async (account, path, body) => {
    const headers = { authorization: `Bearer ${await desk.apiToken(account)}`, 'content-type': 'application/json' };
    return fetch(`${desk.admin}/api/v1/${path}`, { method: 'POST', headers, body: JSON.stringify(body ?? {}) });
  };
  await api('sam', `approvals/${weekly}/approve`, { lease: { minutes: 10, uses: 5, where: { '/body': { one_of: ['Nothing to report.', 'All is well.'] } } } });
  await api('sam', `approvals/${used}/approve`);
  await desk.call('alice', 'strict__write_note', { id: 'minutes', body: 'The meeting moved to Thursday.' });
  await api('sam', `approvals/${sum}/approve`);
  const records = await desk.gateway.records();
  const record = records.findLast(entry => entry.kind === 'outcome' && entry.name === 'strict__write_note' && entry.intent).id;
  const pages = {
    approvals: 'approvals',
    approval: `approvals/${id}`,
    leases: 'leases',
    activity: 'activity',
    record: `activity/${record}`,
    tools: 'tools',
    access: 'access?as=sub%3Dalice%2Cgroups%3Deng&call=strict__write_note',
    upstreams: 'upstreams',
    policy: 'policy',
    audit: 'audit',
  };
  for (const colorScheme of ['light', 'dark']) {
    for (const [size, viewport] of Object.entries(SIZES)) {
      const { page, close } = await desk.person('sue', '/console/approvals', { colorScheme, viewport });
      for (const [name, path] of Object.entries(pages)) {
        await page.goto(`${desk.admin}/console/${path}`);
        await page.waitForLoadState();
        await page.screenshot({ path: join(OUT, `console-${name}-${size}-${colorScheme}.png`) });
      }
      await close();
    }
  }
} finally {
  await desk.stop();
}
