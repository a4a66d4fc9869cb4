// Traces and metrics at a real receiver (rotel, a collector written by others), by OTLP over HTTP and over gRPC: a trace goes from
// the agent through the gateway to the upstream, in the names of the semantic conventions. Prometheus scrapes, promtool checks.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createConnection } from 'node:net';
import { after, before, describe, test } from 'node:test';
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

const spansOf = text => text;

test('first light', async () => {
  const collector = await startCollector();
  const strict = await startServer('fixtures/strict-2026.mjs');
  const config = {
    upstreams: [{ name: 'strict', http: { url: strict.url } }],
    routes: [{ path: '/mcp', upstreams: ['strict'] }],
    telemetry: { otlp: { endpoint: `http://127.0.0.1:${collector.http}`, metrics_every: '1s' }, trace_sample: 1 },
  };
  const gateway = await startGateway({ config, policies });
  const token = await gateway.token({ sub: 'alice' });
  const lines = await gateway.client('ts2', [{ op: 'call', name: 'strict__echo', args: { message: CANARY }, meta: { traceparent: traceparent(AGENT.trace) } }], { token });
  console.log(JSON.stringify(lines[0]).slice(0, 300));
  await sleep(4000);
  console.log(collector.text().slice(0, 20000));
  console.log(JSON.stringify(await strict.seen()).slice(0, 3000));
  console.log(gateway.log().slice(-2000));
  await gateway.stop();
  await strict.stop();
  await collector.stop();
});
