// Mail to approvers over aiosmtpd: what arrives is what its own parser reads, and what must not be sent is not.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { freePort, peer, sleep, startGateway, startServer } from '../harness.mjs';
import { makeCerts } from './certs.mjs';
import { rpc } from './oauth.mjs';

const [USER, PASSWORD] = ['portcullis', 'mail-password-for-the-gateway'];
const FROM = 'gateway@example.com';
const TO = ['sre@example.com', 'oncall@example.com'];
const SECRET = 'AKIAQWERTYUIOPASDFGH';
const EVIL = 'evil@example.net';
const POLL_MS = 50;
const WAIT_MS = 60_000;

const policies = {
  tools: [{ match: ['strict__write_note'], class: 'write' }],
  rules: [
    {
      id: 'notes-by-sre',
      effect: 'allow',
      principals: ['any'],
      tools: ['strict__write_note'],
      classes: ['write'],
      require: { approval: { from: ['group:sre'], expires: '15m' } },
    },
  ],
  groups: { sre: { claim: 'groups', any_of: ['sre'] } },
};

const header = (mail, name) => {
  const found = mail.headers.filter(([key]) => key.toLowerCase() === name.toLowerCase());
  assert.equal(found.length, 1, `${name} in ${JSON.stringify(mail.headers)}`);
  assert.deepEqual(found[0][2], [], `defects of ${name}`);
  return found[0][1];
};
/** What was said, without what follows the command. */
const verbs = lines => lines.map(line => line.split(/[ :]/)[0].toUpperCase());

async function until(what, made) {
  for (const end = performance.now() + WAIT_MS; performance.now() < end; await sleep(POLL_MS)) {
    const value = await made();
    if (value) return value;
  }
  throw new Error(`not in time: ${what}`);
}

describe('mail', { timeout: 120_000 }, () => {
  let [ours, others] = [];
  let [servers, late, strict, gateway] = [];
  let latePort;

  const start = list => {
    const pem = { cert: ours.file('server.pem'), key: ours.file('server.key') };
    const all = Object.fromEntries(Object.entries(list).map(([name, settings]) => [name, { ...pem, ...settings }]));
    const MAIL = JSON.stringify({ user: USER, password: PASSWORD, servers: all });
    return startServer('fixtures/mail_aiosmtpd.py', { command: peer('.venv/bin/python'), env: { MAIL } });
  };
  /** Asks for a note; the id of the request that waits. */
  const ask = async (args, sub = 'alice') => {
    const token = await gateway.token({ sub });
    const { json } = await rpc(gateway, 'tools/call', { name: 'strict__write_note', arguments: args }, { token });
    const denial = json.result?._meta?.['dev.portcullis/denial'];
    assert.equal(denial?.reason, 'approval_required', JSON.stringify(json));
    return denial.approval_id;
  };
  const mailsOf = async (name, id, from = servers) => (await from.seen())[name].mails.filter(mail => mail.body.includes(id));

  before(async () => {
    [ours, others] = [makeCerts(), makeCerts()];
    servers = await start({
      implicit: { tls: 'implicit', auth: ['LOGIN', 'PLAIN'] },
      starttls: { tls: 'starttls', auth: ['PLAIN'] },
      login: { tls: 'starttls', auth: ['LOGIN'] },
      plain: { tls: 'none' },
      clear: { tls: 'none' },
      unnamed: { tls: 'starttls', auth: ['PLAIN'] },
      other: { tls: 'starttls', auth: ['PLAIN'] },
      'other-implicit': { tls: 'implicit', auth: ['PLAIN'] },
    });
    const seen = await servers.seen();
    latePort = await freePort();
    const login = { username: USER, password: PASSWORD };
    const channel = (name, more, port = seen[name].port) => ({ name, smtp: { host: '127.0.0.1', port, from: FROM, to: TO, ...more } });
    strict = await startServer('fixtures/strict-2026.mjs');
    gateway = await startGateway({
      port: await freePort(),
      policies,
      config: {
        routes: [{ path: '/mcp', upstreams: ['strict'] }],
        upstreams: [{ name: 'strict', http: { url: strict.url } }],
        approvals: {
          channels: [
            channel('implicit', { tls: 'implicit', ca: ours.ca, ...login }),
            channel('starttls', { ca: ours.ca, ...login }),
            channel('login', { host: 'localhost', ca: ours.ca, ...login }),
            channel('plain', { tls: 'none' }),
            channel('clear', { ca: ours.ca, ...login }),
            channel('unnamed', login),
            channel('other', { ca: others.ca, ...login }),
            channel('other-implicit', { tls: 'implicit', ca: others.ca, ...login }),
            channel('late', { tls: 'none' }, latePort),
          ],
        },
      },
    });
  });
  after(async () => {
    for (const one of [gateway, strict, late, servers]) await one?.stop();
    for (const certs of [ours, others]) certs?.remove();
  });

  test('a mail says what is asked, in headers and a text that a parser takes', async () => {
    const id = await ask({ id: 'n-1', body: `the key is ${SECRET}, naïve` });
    for (const [name, tls, user] of [['implicit', true, USER], ['starttls', true, USER], ['login', true, USER], ['plain', false, null]]) {
      const [mail] = await until(`the mail of ${name}`, async () => (await mailsOf(name, id)).length > 0 && mailsOf(name, id));
      assert.deepEqual([mail.from, mail.to, mail.tls, mail.user], [FROM, TO, tls, user], name);
      assert.deepEqual([mail.defects, mail.parts], [[], 1], name);
      assert.equal(header(mail, 'Subject'), 'Approval needed: strict__write_note (write) for alice');
      assert.equal(header(mail, 'From'), `Portcullis <${FROM}>`);
      assert.equal(header(mail, 'To'), TO.join(', '));
      assert.match(header(mail, 'Message-ID'), /^<ntc_[\w-]{22}@\[127\.0\.0\.1\]>$/);
      assert.equal(header(mail, 'Auto-Submitted'), 'auto-generated');
      assert.match(header(mail, 'Content-Type'), /^text\/plain; charset="?utf-8"?$/);
      assert.ok(Math.abs(Date.parse(header(mail, 'Date')) - Date.now()) < 120_000);
      assert.ok(mail.body.includes(`${gateway.admin}/console/approvals/${id}`), mail.body);
      assert.ok(mail.body.includes('n-1') && mail.body.includes('naïve') && mail.body.includes('secrets that are masked: 1'), mail.body);
      assert.ok(!mail.body.includes(SECRET), mail.body);
    }
  });

  test('nothing but a greeting is said where TLS is missing, or nobody vouches', async () => {
    const id = await ask({ id: 'n-2', body: 'x' });
    for (const [name, why] of [
      ['clear', 'offers no STARTTLS'],
      ['unnamed', 'invalid peer certificate'],
      ['other', 'invalid peer certificate'],
      ['other-implicit', 'invalid peer certificate'],
    ]) {
      const tried = line => line.includes(why) && line.includes(id) && line.includes(`"${name}"`);
      await until(`an attempt by ${name}`, () => gateway.log().split('\n').some(tried));
      const { lines, mails } = (await servers.seen())[name];
      assert.deepEqual(mails, [], name);
      assert.deepEqual(verbs(lines).filter(verb => !['EHLO', 'STARTTLS'].includes(verb)), [], `${name}: ${lines}`);
    }
  });

  test('what others chose is neither a header, nor an address, nor a command', async () => {
    const lines = `\r\nBcc: ${EVIL}\r\n\r\n.\r\nMAIL FROM:<${EVIL}>\r\nRCPT TO:<${EVIL}>\r\nDATA\r\n`;
    // An encoded word of headers, which decodes to a line of its own.
    const sub = `eve =?utf-8?Q?=0D=0ABcc:_${EVIL}?=`;
    await servers.reset();
    const id = await ask({ id: `n-3${lines}`, body: `.${lines}.\r\n..\r\n${'x'.repeat(2_000)}` }, sub);
    for (const name of ['implicit', 'starttls', 'login', 'plain']) {
      const [mail] = await until(`the mail of ${name}`, async () => (await mailsOf(name, id)).length > 0 && mailsOf(name, id));
      const seen = (await servers.seen())[name];
      assert.equal(seen.mails.length, 1, name);
      assert.deepEqual([mail.from, mail.to, mail.defects, mail.parts], [FROM, TO, [], 1], name);
      const known = ['Date', 'From', 'To', 'Subject', 'Message-ID', 'Auto-Submitted', 'MIME-Version', 'Content-Type', 'Content-Transfer-Encoding'];
      assert.deepEqual(mail.headers.map(([key]) => key), known, name);
      assert.equal(header(mail, 'Subject'), `Approval needed: strict__write_note (write) for ${sub}`);
      assert.ok(mail.body.includes('\\u000d\\u000aMAIL FROM') && mail.body.includes('x'.repeat(2_000)), mail.body);
      // Of what it was told in clear or over TLS, no line is of others.
      assert.ok(seen.lines.every(line => !line.includes(EVIL)), `${name}: ${seen.lines}`);
      const said = verbs(seen.lines);
      for (const [verb, count] of [['MAIL', 1], ['RCPT', TO.length], ['DATA', 1]]) {
        assert.equal(said.filter(one => one === verb).length, count, `${verb} at ${name}: ${seen.lines}`);
      }
    }
  });

  test('a server that was down gets each mail once it is up, and once', async () => {
    const first = await ask({ id: 'n-4', body: 'x' });
    await until('an attempt', () => gateway.log().split('\n').some(line => line.includes(first) && line.includes('"late"')));
    late = await start({ late: { tls: 'none', port: latePort } });
    await until('the first', async () => (await mailsOf('late', first, late)).length > 0);
    const second = await ask({ id: 'n-5', body: 'x' });
    await until('the second', async () => (await mailsOf('late', second, late)).length > 0);
    const ids = (await late.seen()).late.mails.map(mail => header(mail, 'Message-ID'));
    assert.equal(new Set(ids).size, ids.length, `told twice: ${ids}`);
    assert.equal((await mailsOf('late', first, late)).length, 1);
    for (const secret of [PASSWORD, SECRET]) assert.ok(!gateway.log().includes(secret), 'a secret in the log');
  });
});
