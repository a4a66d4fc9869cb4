// Records go to a real syslog server over TLS, and to an HTTP receiver over TLS: both are down for a
// while under load, and in the end each has every record, in order.
import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { freePort, spawnOwn, startGateway, startServer } from '../harness.mjs';
import { makeCerts } from './certs.mjs';

const RSYSLOGD = '/usr/sbin/rsyslogd';
/** For how long the receivers are down: SINKS_DOWN_MS=60000 for the long run. */
const DOWN_MS = Number(process.env.SINKS_DOWN_MS ?? '3000');
const PATIENCE_MS = 60_000;
const secret = randomBytes(24).toString('hex');

const policies = {
  tools: [
    { match: ['strict__*'], class: 'read' },
    { match: ['strict__write_note'], class: 'write' },
  ],
  rules: [{ id: 'most', effect: 'allow', principals: ['sub:alice'], tools: ['strict__*'], classes: ['read', 'write'] }],
};

let certs;
let dir;
let strict;
let gateway;
let syslog;
let post;
before(async () => {
  certs = makeCerts();
  dir = mkdtempSync(join(tmpdir(), 'portcullis-sinks-'));
  strict = await startServer('fixtures/strict-2026.mjs');
  syslog = existsSync(RSYSLOGD) && (await rsyslog());
  post = await receiver();
  const sinks = [
    { file: 'audit' },
    { http: { url: `https://localhost:${post.port}/in`, secret, ca: certs.ca, compress: 'gzip' } },
  ];
  if (syslog) sinks.push({ syslog: { address: `tls://localhost:${syslog.port}`, ca: certs.ca } });
  else console.error(`SKIPPED: syslog: there is no ${RSYSLOGD} (apt-get install rsyslog rsyslog-openssl)`);
  const upstreams = [{ name: 'strict', http: { url: strict.url } }];
  const audit = { sinks, rotate: { size: '64KiB' }, compress: 'gzip' };
  gateway = await startGateway({ config: { upstreams, audit, routes: [{ path: '/mcp', upstreams: ['strict'] }] }, policies });
});
after(async () => {
  for (const one of [gateway, strict, syslog, post]) await (one && one.stop());
  certs?.remove();
  if (dir) rmSync(dir, { recursive: true, force: true });
});

/** A syslog server that nothing was changed in, but for the size of messages. */
async function rsyslog() {
  const port = await freePort();
  const file = join(dir, 'received');
  const config = join(dir, 'rsyslog.conf');
  writeFileSync(
    config,
    `global(workDirectory="${dir}" maxMessageSize="64k" defaultNetstreamDriver="ossl"
  defaultNetstreamDriverCAFile="${certs.ca}" defaultNetstreamDriverCertFile="${certs.file('server.pem')}"
  defaultNetstreamDriverKeyFile="${certs.file('server.key')}")
module(load="imtcp" StreamDriver.Name="ossl" StreamDriver.Mode="1" StreamDriver.AuthMode="anon")
template(name="line" type="string" string="%structured-data% %msg%\\n")
ruleset(name="audit") { action(type="omfile" file="${file}" template="line") }
input(type="imtcp" port="${port}" address="127.0.0.1" ruleset="audit")
`,
  );
  let child;
  const start = async () => {
    child = spawnOwn(RSYSLOGD, ['-n', '-f', config, '-i', join(dir, 'pid')], { stdio: 'inherit' });
    child.ended = new Promise(done => child.on('exit', done));
  };
  const stop = async () => {
    child.kill('SIGTERM');
    await child.ended;
  };
  await start();
  const records = () => (existsSync(file) ? readFileSync(file, 'utf8').split('\n').slice(0, -1).map(message) : []);
  return { port, start, stop, records };
}

/** The record of a message, which says the same of itself as what stands before it. */
function message(line) {
  const [, seq, id, kind, text] = /^\[portcullis@32473 seq="(\d+)" id="([^"]+)" kind="([a-z]+)"\] (.*)$/.exec(line) ?? [];
  assert.ok(text, line);
  const record = JSON.parse(text);
  assert.deepEqual([String(record.seq), record.id, record.kind], [seq, id, kind]);
  return record;
}

/** Takes batches that are signed, while it is up. */
async function receiver() {
  const port = await freePort();
  const records = [];
  let server;
  const answer = (req, res) => {
    const parts = [];
    req.on('data', part => parts.push(part));
    req.on('end', () => {
      const body = Buffer.concat(parts);
      const [, time, tag] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(req.headers['portcullis-signature']);
      const mine = createHmac('sha256', secret).update(`${time}.`).update(body).digest('hex');
      assert.equal(tag, mine);
      assert.ok(Math.abs(Number(time) - Date.now() / 1000) < 300);
      records.push(...gunzipSync(body).toString().split('\n').slice(0, -1).map(JSON.parse));
      res.writeHead(204).end();
    });
  };
  const start = () =>
    new Promise(done => {
      const options = { cert: readFileSync(certs.file('server.pem')), key: readFileSync(certs.file('server.key')) };
      server = createServer(options, answer).listen(port, '127.0.0.1', done);
    });
  const stop = () => {
    server.closeAllConnections();
    return new Promise(done => server.close(done));
  };
  await start();
  return { port, start, stop, records: () => records };
}

async function load(calls) {
  const token = await gateway.token({ sub: 'alice' });
  const plan = [];
  for (let n = 0; n < calls; n++) plan.push({ op: 'call', name: 'strict__write_note', args: { id: `n${n}`, body: 'x' } });
  await gateway.client('ts2', plan, { token });
}

/** What came first of each number: in order, from the first on, and the same whenever it came again. */
function inOrder(records) {
  const first = new Map();
  for (const record of records) {
    if (first.has(record.seq)) assert.deepEqual(first.get(record.seq), record);
    else {
      assert.equal(record.seq, first.size + 1, 'out of order');
      if (record.seq > 1) assert.equal(record.prev, first.get(record.seq - 1).hash);
      first.set(record.seq, record);
    }
  }
  return first.size;
}

async function state() {
  const text = await (await fetch(`${gateway.admin}/metrics`)).text();
  return Object.fromEntries([...text.matchAll(/^portcullis_audit_sink_lag_records\{sink="(\w+)"\} (\d+)$/gm)].map(([, k, n]) => [k, +n]));
}

test('receivers that are down for a while have every record in the end', async () => {
  const receivers = [post, syslog].filter(Boolean);
  await load(20);
  for (const one of receivers) await one.stop();
  const down = Date.now();
  do await load(100);
  while (Date.now() - down < DOWN_MS);
  const lag = await state();
  assert.equal(Object.keys(lag).length, receivers.length);
  for (const records of Object.values(lag)) assert.ok(records > 100, JSON.stringify(lag));
  assert.ok(readdirSync(join(gateway.data, 'audit')).some(name => name.endsWith('.gz')), 'files were closed meanwhile');
  for (const one of receivers) await one.start();
  await load(20);
  const until = Date.now() + PATIENCE_MS;
  while (Object.values(await state()).some(records => records > 0)) {
    assert.ok(Date.now() < until, JSON.stringify(await state()));
    await sleep(100);
  }
  await gateway.end();
  const positions = receivers.map((_, at) => JSON.parse(readFileSync(join(gateway.data, 'audit/sinks', `${['http', 'syslog'][at]}.json`))).seq);
  for (const [at, one] of receivers.entries()) {
    while (one.records().length < positions[at]) {
      assert.ok(Date.now() < until, 'it was taken and is not there');
      await sleep(100);
    }
    const records = one.records();
    assert.equal(inOrder(records), positions[at]);
    assert.equal(records.at(-1).kind, 'checkpoint', 'the end is signed');
    assert.ok(records.filter(record => record.kind === 'intent').length >= 140);
    console.log(`${['http', 'syslog'][at]}: ${positions[at]} records, ${records.length - positions[at]} of them twice`);
  }
});
