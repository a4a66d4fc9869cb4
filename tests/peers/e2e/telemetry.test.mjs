// Traces and metrics at a real receiver (rotel, a collector written by others), by OTLP over HTTP and over gRPC: a trace goes from
// the agent through the gateway to the upstream, in the names of the semantic conventions. Prometheus scrapes, promtool checks.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { freePort, peer, sleep, startGateway, startServer } from '../harness.mjs';

const WAIT_MS = 15_000;
const AGENT = { trace: '0af7651916cd43dd8448eb211c80319c', span: 'b7ad6b7169203331' };
const traceparent = (trace, flags = '01') => `00-${trace}-${AGENT.span}-${flags}`;
const CANARY = 'canary-secret-in-arguments';

const policies = {
  tools: [{ match: ['strict__*'], class: 'read' }],
  rules: [
    { id: 'most', effect: 'allow', principals: ['sub:alice'], tools: ['strict__*'] },
    { id: 'not-this', effect: 'deny', tools: ['strict__echo'], arguments: { '/message': { equals: 'forbidden' } } },
  ],
};

async function until(what, look) {
  const end = Date.now() + WAIT_MS;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`${what} did not come in time`);
    await sleep(100);
  }
}

const listens = port =>
  new Promise(done => {
    const socket = createConnection({ port, host: '127.0.0.1' });
    socket.on('connect', () => done(socket.destroy() && true)).on('error', () => done(false));
  });

/** A collector that prints what it receives: {http, grpc, text(), spans(), stop()}. */
async function startCollector() {
  const binary = peer('.venv/bin/python');
  const found = await new Promise(done => {
    const child = spawn(binary, ['-c', 'import rotel, os; print(os.path.join(os.path.dirname(rotel.__file__), "rotel-agent"))']);
    let out = '';
    child.stdout.setEncoding('utf8').on('data', text => (out += text));
    child.on('close', () => done(out.trim()));
  });
  const agent = process.env.ROTEL_BIN ?? found;
  if (!agent) throw new Error('there is no rotel in .venv: run install.sh with python 3.11 to 3.13, or name one with ROTEL_BIN');
  const [http, grpc] = [await freePort(), await freePort()];
  const listening = ['--otlp-http-endpoint', `127.0.0.1:${http}`, '--otlp-grpc-endpoint', `127.0.0.1:${grpc}`];
  const printing = ['--exporter', 'blackhole', '--debug-log', 'traces', '--debug-log', 'metrics', '--debug-log-verbosity', 'detailed'];
  const child = spawn(agent, ['start', ...listening, ...printing], { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', part => (text += part));
  const exited = new Promise(done => child.on('close', done));
  await until('the collector', async () => (await listens(http)) && (await listens(grpc)));
  return {
    http,
    grpc,
    text: () => text,
    spans: () => spansOf(text),
    stop: async () => {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

/** The collector's print of spans, as spans: {trace, parent, id, name, kind, status, attributes}. */
function spansOf(text) {
  const spans = [];
  for (const block of text.split(/^Span #\d+$/m).slice(1)) {
    const field = name => new RegExp(`^ +${name} *: (.*)$`, 'm').exec(block)?.[1].trim();
    const attributes = {};
    const end = block.search(/^(Resource|Scope)\w+ #/m);
    const own = end < 0 ? block : block.slice(0, end);
    for (const [, key, value] of own.matchAll(/^ +-> ([a-z._]+): \w+\((.*)\)$/gm)) attributes[key] = value;
    const [trace, parent, id, name, kind] = ['Trace ID', 'Parent ID', 'ID', 'Name', 'Kind'].map(field);
    spans.push({ trace, parent, id, name, kind: kind.replace('SPAN_KIND_', ''), status: field('Status code'), attributes, links: (own.match(/SpanLink #/g) ?? []).length });
  }
  return spans;
}

const STAGES = ['admit', 'authenticate', 'decode', 'route', 'authorize', 'discharge', 'inspect', 'reply'];
const call = (message, meta) => ({ op: 'call', name: 'strict__echo', args: { message }, ...(meta && { meta }) });
const config = (strict, telemetry) => ({
  upstreams: [{ name: 'strict', http: { url: strict.url } }],
  routes: [{ path: '/mcp', upstreams: ['strict'] }],
  telemetry: { log: 'debug', ...telemetry },
});

for (const protocol of ['http', 'grpc']) {
  describe(`a collector by ${protocol}`, () => {
    let collector;
    let strict;
    let gateway;
    let token;
    before(async () => {
      collector = await startCollector();
      strict = await startServer('fixtures/strict-2026.mjs');
      const otlp = { endpoint: `http://127.0.0.1:${collector[protocol]}`, protocol, metrics_every: '1s', headers: { 'x-tenant': 'a' } };
      // Nothing is kept but what is told to be, or must be.
      gateway = await startGateway({ config: config(strict, { otlp, trace_sample: 0 }), policies });
      token = await gateway.token({ sub: 'alice' });
    });
    after(async () => {
      for (const one of [gateway, strict, collector]) await one?.stop();
    });

    const trace = id => until(`the trace ${id}`, () => {
      const spans = collector.spans().filter(span => span.trace === id);
      return spans.some(({ kind }) => kind === 'SERVER') && spans;
    });

    for (const kind of ['ts1', 'ts2']) {
      test(`a trace of ${kind} goes from the agent through the gateway to the upstream`, async () => {
        const id = kind === 'ts1' ? AGENT.trace : AGENT.trace.replace('0a', '1b');
        await strict.reset();
        const lines = await gateway.client(kind, [call(CANARY, { traceparent: traceparent(id) })], { token });
        assert.ok(lines.find(({ op }) => op === 'call').ok);
        const spans = await trace(id);
        const server = spans.find(span => span.kind === 'SERVER');
        const client = spans.find(span => span.kind === 'CLIENT');
        assert.equal(server.name, 'tools/call strict__echo');
        assert.equal(server.parent, AGENT.span);
        assert.equal(client.parent, server.id);
        const seen = (await strict.seen()).requests.filter(({ body }) => body?.includes('"tools/call"'));
        assert.equal(JSON.parse(seen[0].body).params._meta.traceparent, `00-${id}-${client.id}-01`);
        const stages = spans.filter(span => span.kind === 'INTERNAL');
        assert.deepEqual(stages.map(({ name }) => name).filter(name => STAGES.includes(name)), STAGES);
        assert.ok(stages.every(({ parent }) => parent === server.id));
        for (const [key, value] of [
          ['mcp.method.name', 'tools/call'],
          ['gen_ai.tool.name', 'strict__echo'],
          ['gen_ai.operation.name', 'execute_tool'],
          ['network.transport', 'tcp'],
          ['portcullis.decision.effect', 'allow'],
        ]) assert.equal(server.attributes[key], value, key);
        assert.match(server.attributes['mcp.protocol.version'], /^20\d\d-\d\d-\d\d$/);
        assert.ok(server.attributes['jsonrpc.request.id']);
        const record = (await gateway.settledRecords(1)).find(one => one.id === server.attributes['portcullis.record']);
        assert.equal(record.trace_id, id);
      });
    }

    test('a refusal is kept though nothing is sampled, and a call that is not sampled is not', async () => {
      const [quiet, loud] = ['2c', '3d'].map(start => AGENT.trace.replace('0a', start));
      await gateway.client('ts2', [call('a', { traceparent: traceparent(quiet, '00') })], { token });
      await gateway.client('ts2', [call('forbidden', { traceparent: traceparent(loud, '00') })], { token });
      const server = (await trace(loud)).find(span => span.kind === 'SERVER');
      assert.equal(server.attributes['error.type'], 'rule_denied');
      assert.equal(server.attributes['portcullis.decision.effect'], 'deny');
      assert.equal(server.status, 'STATUS_CODE_ERROR');
      assert.deepEqual(collector.spans().filter(span => span.trace === quiet), []);
    });

    test('metrics come by their names of the conventions, and no argument comes at all', async () => {
      const text = await until('the metrics', () => collector.text().includes('Name: mcp.client.operation.duration') && collector.text());
      for (const name of ['mcp.server.operation.duration', 'portcullis.decisions', 'portcullis.upstream_up', 'portcullis.audit_queue_depth']) {
        assert.ok(text.includes(`Name: ${name}\n`), name);
      }
      assert.ok(!collector.text().includes(CANARY));
      assert.ok(!collector.text().includes(token));
    });

    test('what is left is sent at the end', async () => {
      const id = AGENT.trace.replace('0a', '4e');
      await gateway.client('ts2', [call('b', { traceparent: traceparent(id) })], { token });
      await gateway.stop();
      gateway = undefined;
      assert.ok((await trace(id)).length > STAGES.length);
    });
  });
}

describe('a receiver that hangs', () => {
  test('delays no call, and the end by seconds only', async () => {
    const { createServer } = await import('node:net');
    const sockets = new Set();
    const hole = createServer(socket => sockets.add(socket.on('error', () => {})));
    const port = await freePort();
    await new Promise(done => hole.listen(port, '127.0.0.1', done));
    const strict = await startServer('fixtures/strict-2026.mjs');
    const otlp = { endpoint: `http://127.0.0.1:${port}`, metrics_every: '1s' };
    const gateway = await startGateway({ config: config(strict, { otlp, trace_sample: 1 }), policies });
    const token = await gateway.token({ sub: 'alice' });
    await gateway.client('ts2', [call('a')], { token });
    await until('a connection', () => sockets.size > 0);
    const lines = await gateway.client('ts2', Array.from({ length: 20 }, (_, n) => call(`n${n}`)), { token });
    const calls = lines.filter(({ op }) => op === 'call');
    assert.ok(calls.length === 20 && calls.every(({ ok }) => ok));
    const { code } = await gateway.end();
    assert.equal(code, 0);
    await gateway.stop();
    await strict.stop();
    for (const socket of sockets) socket.destroy();
    hole.close();
  });
});

const PROMETHEUS = '/usr/bin/prometheus';
describe('Prometheus', { skip: existsSync(PROMETHEUS) ? false : `there is no ${PROMETHEUS}` }, () => {
  test('promtool takes the rules', async () => {
    const { stdout } = await promisify(execFile)('/usr/bin/promtool', ['check', 'rules', peer('../../deploy/prometheus/alerts.yaml')]);
    assert.match(stdout, /SUCCESS: \d+ rules found/);
  });

  test('scrapes text, and native histograms with exemplars, and promtool finds nothing to complain of', async () => {
    const collector = await startCollector();
    const strict = await startServer('fixtures/strict-2026.mjs');
    const otlp = { endpoint: `http://127.0.0.1:${collector.http}` };
    const gateway = await startGateway({ config: config(strict, { otlp }), policies });
    const token = await gateway.token({ sub: 'alice' });
    await gateway.client('ts2', [call('a', { traceparent: traceparent(AGENT.trace) }), call('forbidden')], { token });
    const plain = await (await fetch(`${gateway.admin}/metrics`)).text();
    await promtoolMetrics(plain);
    for (const native of [false, true]) {
      const dir = mkdtempSync(join(tmpdir(), 'portcullis-prometheus-'));
      const port = await freePort();
      const rules = peer('../../deploy/prometheus/alerts.yaml');
      const settings = {
        global: { scrape_interval: '1s', evaluation_interval: '1s' },
        rule_files: [rules],
        scrape_configs: [{ job_name: 'portcullis', static_configs: [{ targets: [new URL(gateway.admin).host] }] }],
      };
      writeFileSync(join(dir, 'prometheus.yml'), JSON.stringify(settings));
      const features = ['exemplar-storage', ...(native ? ['native-histograms'] : [])].join(',');
      const args = [`--config.file=${dir}/prometheus.yml`, `--storage.tsdb.path=${dir}/tsdb`, `--web.listen-address=127.0.0.1:${port}`];
      const child = spawn(PROMETHEUS, [...args, `--enable-feature=${features}`], { stdio: ['ignore', 'ignore', 'pipe'] });
      let log = '';
      child.stderr.setEncoding('utf8').on('data', part => (log += part));
      const exited = new Promise(done => child.on('close', done));
      const ask = async (path, query) => {
        const answer = await fetch(`http://127.0.0.1:${port}/api/v1/${path}?${new URLSearchParams(query)}`).catch(() => undefined);
        return answer?.ok ? (await answer.json()).data : undefined;
      };
      const value = async query => (await ask('query', { query }))?.result[0];
      try {
        await until('a scrape', async () => (await value('up{job="portcullis"}'))?.value[1] === '1');
        const denied = await until('decisions', () => value('portcullis_decisions_total{effect="deny"}'));
        assert.equal(denied.metric.reason, 'rule_denied');
        assert.equal(denied.value[1], '1');
        const served = 'mcp_server_operation_duration_seconds';
        const query = native ? `histogram_count(${served}{mcp_method_name="tools/call",error_type=""})` : `${served}_count{mcp_method_name="tools/call",error_type=""}`;
        assert.equal((await until('the histogram', () => value(query))).value[1], '1', log);
        const groups = await ask('rules', { type: 'alert' });
        assert.ok(groups.groups[0].rules.length > 10 && groups.groups[0].rules.every(({ health }) => health !== 'err'));
        if (!native) {
          const now = Date.now() / 1000;
          const series = await until('exemplars', async () => {
            const found = await ask('query_exemplars', { query: `${served}_bucket`, start: String(now - 600), end: String(now + 600) });
            return found?.length > 0 && found;
          });
          assert.equal(series[0].exemplars[0].labels.trace_id, AGENT.trace);
        }
      } finally {
        child.kill('SIGKILL');
        await exited;
        rmSync(dir, { recursive: true, force: true });
      }
    }
    for (const one of [gateway, strict, collector]) await one.stop();
  });
});

async function promtoolMetrics(text) {
  const child = spawn('/usr/bin/promtool', ['check', 'metrics'], { stdio: ['pipe', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', part => (said += part));
  child.stdin.end(text);
  const code = await new Promise(done => child.on('close', done));
  // 3 is for advice about names, which the contract fixes.
  assert.ok(code === 0 || code === 3, said);
}
