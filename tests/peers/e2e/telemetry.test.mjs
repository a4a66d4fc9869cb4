// Traces and metrics at a real receiver (rotel, a collector written by others), by OTLP over HTTP and over gRPC: a trace goes from
// the agent through the gateway to the upstream, in the names of the semantic conventions. Prometheus scrapes, promtool checks.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { freePort, peer, spawnOwn, startGateway, startServer } from '../harness.mjs';
import { startCollector, until } from './collector.mjs';

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
const BOARDS = peer('../../deploy/grafana');
/** Panels without data after a minute in which nobody needed them, and why. */
const NOTHING_TO_SHOW = {
  'overview.json: Turned away': 'no limit of the gateway was reached',
  'security.json: API keys: days since last use': 'the config has no key',
  'security.json: Approvers told': 'the config has no channel',
  'security.json: Authorization server': 'the config has none',
  'upstreams.json: Failures by type': 'the upstream answers everything',
  'upstreams.json: Linked accounts': 'nobody links one',
};
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
      const { ask, value, log, stop } = await startPrometheus(gateway, native ? ['native-histograms'] : []);
      try {
        await until('a scrape', async () => (await value('up{job="portcullis"}'))?.value[1] === '1');
        const denied = await until('decisions', () => value('portcullis_decisions_total{effect="deny"}'));
        assert.equal(denied.metric.reason, 'rule_denied');
        assert.equal(denied.value[1], '1');
        const served = 'mcp_server_operation_duration_seconds';
        const query = native ? `histogram_count(${served}{mcp_method_name="tools/call",error_type=""})` : `${served}_count{mcp_method_name="tools/call",error_type=""}`;
        assert.equal((await until('the histogram', () => value(query))).value[1], '1', log());
        const groups = await ask('rules', { type: 'alert' });
        assert.ok(groups.groups[0].rules.length > 10 && groups.groups[0].rules.every(({ health }) => health !== 'err'));
        if (!native) {
          const now = Date.now() / 1000;
          // Other calls have one too: the order is nobody's.
          await until('the exemplar of the call', async () => {
            const found = await ask('query_exemplars', { query: `${served}_bucket`, start: String(now - 600), end: String(now + 600) });
            return found?.some(({ exemplars }) => exemplars.some(({ labels }) => labels.trace_id === AGENT.trace));
          });
        }
      } finally {
        await stop();
      }
    }
    for (const one of [gateway, strict, collector]) await one.stop();
  });

  test('every expression of the dashboards is understood, and shows something where there is something', async () => {
    const strict = await startServer('fixtures/strict-2026.mjs');
    const nobody = await freePort();
    const gone = { name: 'gone', http: { url: `http://127.0.0.1:${nobody}/`, secret: 'nobody-listens-there' } };
    const otlp = { endpoint: `http://127.0.0.1:${nobody}`, metrics_every: '1s' };
    const writing = {
      tools: [{ match: ['strict__write_note'], class: 'write' }, ...policies.tools],
      rules: policies.rules.map(rule => (rule.effect === 'allow' ? { ...rule, classes: ['read', 'write'] } : rule)),
    };
    const audit = { sinks: [{ file: 'audit' }, gone] };
    const gateway = await startGateway({ config: { ...config(strict, { otlp }), audit }, policies: writing });
    const token = await gateway.token({ sub: 'alice' });
    const plan = [call('a'), call('forbidden'), { op: 'call', name: 'strict__nothing', args: {} }, { op: 'call', name: 'strict__write_note', args: { id: 'n', body: 'x' } }];
    // Rates are of what was there before.
    await gateway.client('ts2', plan, { token });
    const { ask, value, stop } = await startPrometheus(gateway);
    try {
      await until('two scrapes', async () => Number((await value('count_over_time(portcullis_connections[5m])'))?.value[1]) >= 2);
      await gateway.client('ts2', plan, { token });
      await until('two more', async () => Number((await value('count_over_time(portcullis_connections[5m])'))?.value[1]) >= 5);
      const boards = readdirSync(BOARDS).map(name => [name, JSON.parse(readFileSync(join(BOARDS, name), 'utf8'))]);
      const [wrong, empty] = [[], []];
      let asked = 0;
      for (const [name, board] of boards) {
        for (const { title, targets } of board.panels) {
          for (const { expr } of targets) {
            const query = expr.replaceAll('$__rate_interval', '1m').replaceAll('$__range', '1h').replaceAll(/\$(instance|tool|upstream)/g, '.*');
            asked += 1;
            const answer = await ask('query', { query });
            if (!answer || query.includes('$')) wrong.push(`${name}: ${title}: ${query}`);
            else if (answer.result.length === 0) empty.push(`${name}: ${title}`);
          }
        }
        for (const { name: variable, query } of board.templating.list.filter(({ type }) => type === 'query')) {
          const [, metric, label] = /^label_values\((\w+), (\w+)\)$/.exec(query.query);
          const series = await ask('series', { 'match[]': metric });
          assert.ok(series.some(one => one[label]), `${name}: ${variable}`);
        }
      }
      assert.ok(asked > 40);
      assert.deepEqual(wrong, []);
      assert.deepEqual([...new Set(empty)].sort(), Object.keys(NOTHING_TO_SHOW).sort());
      assert.equal(await ask('query', { query: 'sum(rate(portcullis_decisions_total[1m])' }), undefined, 'what cannot be parsed is found');
    } finally {
      await stop();
      for (const one of [gateway, strict]) await one.stop();
    }
  });
});

/** A Prometheus that scrapes the gateway every second: {ask(path, query), value(query), log(), stop()}. */
async function startPrometheus(gateway, more = []) {
  const dir = mkdtempSync(join(tmpdir(), 'portcullis-prometheus-'));
  const port = await freePort();
  const settings = {
    global: { scrape_interval: '1s', evaluation_interval: '1s' },
    rule_files: [peer('../../deploy/prometheus/alerts.yaml')],
    scrape_configs: [{ job_name: 'portcullis', static_configs: [{ targets: [new URL(gateway.admin).host] }] }],
  };
  writeFileSync(join(dir, 'prometheus.yml'), JSON.stringify(settings));
  const args = [`--config.file=${dir}/prometheus.yml`, `--storage.tsdb.path=${dir}/tsdb`, `--web.listen-address=127.0.0.1:${port}`];
  const features = ['exemplar-storage', ...more].join(',');
  const child = spawnOwn(PROMETHEUS, [...args, `--enable-feature=${features}`], { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  child.stderr.setEncoding('utf8').on('data', part => (log += part));
  const exited = new Promise(done => child.on('close', done));
  const ask = async (path, query) => {
    const answer = await fetch(`http://127.0.0.1:${port}/api/v1/${path}?${new URLSearchParams(query)}`).catch(() => undefined);
    return answer?.ok ? (await answer.json()).data : undefined;
  };
  const value = async query => (await ask('query', { query }))?.result[0];
  const stop = async () => {
    child.kill('SIGKILL');
    await exited;
    rmSync(dir, { recursive: true, force: true });
  };
  return { ask, value, log: () => log, stop };
}

describe('Grafana', () => {
  const check = files => promisify(execFile)(peer('.venv/bin/python'), [peer('grafana_dashboards.py'), ...files]);
  const files = readdirSync(BOARDS).map(name => join(BOARDS, name));

  test('its own models take the dashboards, whole', async () => {
    assert.equal(files.length, 4);
    await check(files);
  });

  test('they take nothing else', async () => {
    const panel = board => board.panels[0];
    const changes = {
      'a key': board => (board.refesh = '5s'),
      'a key of a panel': board => (panel(board).titel = 'x'),
      'a key of a query': board => (panel(board).targets[0].exprr = 'x'),
      'an option': board => (panel(board).options.legendd = {}),
      'a choice': board => (panel(board).options.legend.displayMode = 'tables'),
      'a type': board => (panel(board).gridPos.w = '12'),
      'a kind of panel': board => (panel(board).type = 'graf'),
      'no source of data': board => (delete panel(board).datasource, delete panel(board).targets[0].datasource),
    };
    const dir = mkdtempSync(join(tmpdir(), 'portcullis-boards-'));
    for (const [what, change] of Object.entries(changes)) {
      const board = JSON.parse(readFileSync(join(BOARDS, 'security.json'), 'utf8'));
      change(board);
      const file = join(dir, 'board.json');
      writeFileSync(file, JSON.stringify(board));
      const error = await check([file]).then(() => undefined, error => error);
      assert.equal(error?.code, 1, what);
      assert.match(error.stdout, /board\.json: \./, what);
    }
    rmSync(dir, { recursive: true, force: true });
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
