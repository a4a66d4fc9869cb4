// Records at receivers that none of us wrote: a collector takes them as logs of OpenTelemetry, and the published schema of OCSF takes
// the events. How the sinks do is seen in the API and in the console.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { freePort, peer } from '../harness.mjs';
import { startCollector, until } from './collector.mjs';
import { startDesk } from './desk.mjs';
import { rpc } from './oauth.mjs';

const secret = randomBytes(24).toString('hex');
const TRACE = '0af7651916cd43dd8448eb211c80319c';
const NEWEST_OCSF = '1.8.0';
/** Whether a record is of a request of the protocol; approvals, sign-ins and administration have methods of their own. */
const asked = record => record.kind !== 'admin' && /^(initialize|ping|(server|tools|resources|prompts|completion|logging|tasks|subscriptions)\/)/.test(record.method);

/** The attribute of each member of a record, as docs/audit-sinks.md has it. */
const ATTRIBUTES = {
  'portcullis.audit.seq': record => record.seq,
  'portcullis.audit.id': record => record.id,
  'portcullis.audit.kind': record => record.kind,
  'portcullis.audit.class': record => record.class,
  'portcullis.audit.upstream': record => record.upstream,
  'portcullis.audit.effect': record => record.decision?.effect,
  'portcullis.audit.status': record => record.outcome?.status,
  'portcullis.audit.reason': record => record.outcome?.reason ?? record.decision?.reason,
  'user.id': record => record.principal?.sub,
  'http.route': record => record.route,
  'mcp.method.name': record => (asked(record) ? record.method : undefined),
  'gen_ai.tool.name': record => (asked(record) && record.method === 'tools/call' ? record.name : undefined),
  'http.response.status_code': record => record.outcome?.http,
};

/** Takes lines and keeps them: {port, lines(), stop()}. */
async function startReceiver() {
  let text = '';
  const server = createServer((req, res) => {
    const parts = [];
    req.on('data', part => parts.push(part));
    req.on('end', () => {
      text += Buffer.concat(parts).toString();
      res.writeHead(204).end();
    });
  });
  await new Promise(done => server.listen(0, '127.0.0.1', done));
  const stop = () => {
    server.closeAllConnections();
    return new Promise(done => server.close(done));
  };
  return { port: server.address().port, lines: () => text, stop };
}

/** Holds events, a line each, against the schema: {code, text}. */
const schema = events =>
  new Promise(done => {
    const child = execFile(peer('.venv/bin/python'), [peer('ocsf_events.py'), NEWEST_OCSF], (error, stdout, stderr) => done({ code: error?.code ?? 0, text: stdout + stderr }));
    child.stdin.end(events);
  });

describe('receivers of the audit', { timeout: 180_000 }, () => {
  let collector;
  let first;
  let siem;
  let desk;
  let dir;
  let nobody;
  const seen = () => [...first, ...collector.logs()];
  before(async () => {
    dir = mkdtempSync(join(tmpdir(), 'portcullis-receivers-'));
    [collector, siem, nobody] = [await startCollector(), await startReceiver(), await freePort()];
    first = [];
    desk = await startDesk({
      audit: {
        sinks: [
          { file: 'audit' },
          { name: 'collector', otlp: { endpoint: `http://127.0.0.1:${collector.http}`, headers: { Authorization: `Bearer ${secret}` } } },
          { name: 'siem', http: { url: `http://127.0.0.1:${siem.port}/in`, secret, format: 'ocsf' } },
          { name: 'gone', http: { url: `http://127.0.0.1:${nobody}/in?token=${secret}`, secret } },
        ],
        checkpoints: {
          every: '200ms',
          export: [{ file: join(dir, 'seen.jsonl') }, { webhook: { url: `http://127.0.0.1:${nobody}/?token=${secret}`, secret } }],
        },
      },
    });
  });
  after(async () => {
    for (const one of [desk, collector, siem]) await one?.stop();
    if (dir) rmSync(dir, { recursive: true, force: true });
  });

  const api = async (path, body) => {
    const headers = { authorization: `Bearer ${await desk.apiToken('sam')}`, ...(body && { 'content-type': 'application/json' }) };
    const answer = await fetch(`${desk.admin}/api/v1/${path}`, { method: body ? 'POST' : 'GET', headers, body: body && JSON.stringify(body) });
    assert.equal(answer.status, 200, await answer.clone().text());
    return answer.json();
  };
  const sink = async name => (await api('audit')).sinks.find(one => one.name === name);
  const taken = name => until(`all records at ${name}`, async () => (await sink(name)).lag === 0);

  /** Something of every kind. */
  async function load(n) {
    const token = await desk.agentToken('alice');
    const _meta = { traceparent: `00-${TRACE}-b7ad6b7169203331-01` };
    await rpc(desk.gateway, 'tools/call', { name: 'strict__echo', arguments: { message: `${n}` }, _meta }, { token });
    await rpc(desk.gateway, 'tools/list', {}, { token });
    await desk.call('alice', 'strict__echo', { message: 'AKIA0000' });
    await desk.call('alice', 'strict__nothing', {});
    await rpc(desk.gateway, 'tools/list', {}, { token: `${token}x` });
    const id = await desk.ask('alice', 'strict__write_note', { id: `n${n}`, body: 'x' });
    await api(`approvals/${id}/approve`, { reason: 'looked at it' });
    await desk.call('alice', 'strict__write_note', { id: `n${n}`, body: 'x' });
  }

  test('a collector that is down for a while has every record in the end, in order, with its attributes', async () => {
    for (let n = 0; n < 3; n += 1) await load(n);
    await taken('collector');
    const ports = [collector.http, collector.grpc];
    await collector.stop();
    first = collector.logs();
    assert.ok(first.length > 10);
    collector = { logs: () => [], stop: () => {} };
    for (let n = 3; n < 6; n += 1) await load(n);
    const behind = await until('a failure', async () => {
      const state = await sink('collector');
      return state.failing_since && state.lag > 10 && state.lag_seconds >= 1 && state;
    });
    assert.match(behind.problem, /./);
    collector = await startCollector(ports);
    await taken('collector');
    const { seq } = await sink('collector');
    await until('the print', () => seen().some(({ record }) => record.seq === seq));
    const logs = seen();
    const bySeq = new Map(desk.gateway.records().filter(record => record.kind).map(record => [record.seq, record]));
    const fresh = new Map();
    for (const log of logs) {
      // The first of each comes after the one before it; whatever comes again is the same.
      if (!fresh.has(log.record.seq)) assert.equal(log.record.seq, fresh.size + 1, 'out of order');
      fresh.set(log.record.seq, log.record);
      assert.deepEqual(log.record, bySeq.get(log.record.seq));
      for (const [key, of] of Object.entries(ATTRIBUTES)) {
        assert.equal(log.attributes[key], of(log.record) === undefined ? undefined : String(of(log.record)), `${key} of ${JSON.stringify(log.record)}`);
      }
      assert.equal(log.trace, log.record.trace_id ?? '');
      assert.equal(log.event, `portcullis.audit.${log.record.kind}`);
      assert.equal(Number(BigInt(log.at) / 1_000_000n), Date.parse(log.record.time));
    }
    assert.ok(fresh.size >= seq);
    const kinds = new Set(logs.map(({ record }) => record.kind));
    assert.deepEqual([...kinds].sort(), ['admin', 'approval', 'auth', 'checkpoint', 'intent', 'list', 'outcome']);
    assert.ok(logs.filter(({ trace }) => trace === TRACE).length >= 6, 'calls keep the trace that they came with');
    assert.ok(logs.filter(({ level }) => level.includes('WARN')).length >= 6, 'refusals are warnings');
    console.log(`otlp: ${fresh.size} records, ${logs.length - fresh.size} of them twice`);
  });

  test('events are what the published schema of OCSF says, those of every kind that is emitted', async () => {
    await taken('siem');
    const events = siem.lines();
    const kinds = new Set(events.split('\n').filter(Boolean).map(line => JSON.parse(line).unmapped.kind));
    assert.deepEqual([...kinds].sort(), ['admin', 'approval', 'auth', 'checkpoint', 'intent', 'list', 'outcome']);
    const { code, text } = await schema(events);
    assert.equal(code, 0, text);
    console.log(text.trim());
    const all = await schema(readFileSync(peer('../data/audit/ocsf-events.jsonl')));
    assert.equal(all.code, 0, all.text);
    const [one] = events.split('\n');
    for (const wrong of [one.replace('"api"', '"apo"'), one.replace('"severity_id":1', '"severity_id":17'), one.replace('"time":', '"time":"x","x":'), '']) {
      assert.equal((await schema(wrong)).code, 1, wrong);
    }
  });

  test('how each of them does is seen in the API and in the console', async () => {
    const audit = await until('the failures', async () => {
      const state = await api('audit');
      return [...state.sinks, ...state.checkpoint_exports].filter(one => one.failing_since).length === 2 && state;
    });
    const { sinks, checkpoint_exports: exports } = audit;
    assert.deepEqual(sinks.map(({ name, kind }) => `${name} ${kind}`), ['collector otlp', 'siem http', 'gone http']);
    const gone = sinks.at(-1);
    assert.ok(gone.seq === 0 && gone.lag >= 30 && gone.lag_seconds >= 1 && gone.problem, JSON.stringify(gone));
    assert.ok(sinks[0].seq > 30 && sinks[0].failing_since === null && sinks[0].problem === null, JSON.stringify(sinks[0]));
    const [file, webhook] = exports;
    assert.deepEqual([file.kind, file.place, file.failing_since], ['file', join(dir, 'seen.jsonl'), null]);
    assert.ok(existsSync(file.place) && file.covers >= 30, JSON.stringify(file));
    assert.deepEqual([webhook.kind, webhook.place, webhook.covers], ['webhook', `http://127.0.0.1:${nobody}`, 0]);
    assert.ok(webhook.failing_since && webhook.problem);
    assert.ok(!JSON.stringify(audit).includes(secret), 'no secret is told');
    const metrics = await (await fetch(`${desk.admin}/metrics`)).text();
    const lag = Number(/^portcullis_audit_sink_lag_seconds\{sink="gone"\} (\d+)$/m.exec(metrics)?.[1]);
    assert.ok(lag >= gone.lag_seconds, metrics);
    const person = await desk.person('vera', '/console/audit');
    const main = await person.page.textContent('main');
    for (const part of ['Sinks', 'collector', 'siem', 'gone', gone.problem, 'Checkpoints elsewhere', file.place, webhook.place]) assert.ok(main.includes(part), part);
    assert.ok(!(await person.page.content()).includes(secret));
    const badges = label => person.page.getByRole('region', { name: label }).locator('tbody .badge').allTextContents();
    assert.deepEqual(await badges('Sinks'), ['up', 'up', 'down']);
    assert.deepEqual(await badges('Checkpoints elsewhere'), ['up', 'down']);
    await person.close();
  });
});
