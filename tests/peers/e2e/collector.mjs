// A collector that none of us wrote (rotel), and what it prints of the traces and logs that it received.
import { spawn } from 'node:child_process';
import { createConnection } from 'node:net';
import { freePort, peer, sleep, spawnOwn } from '../harness.mjs';

// The gateway waits for up to 15 seconds between two attempts.
const WAIT_MS = 60_000;

export async function until(what, look) {
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

/** A collector that prints what it receives: {http, grpc, text(), spans(), logs(), stop()}. With `ports` it listens where another one did. */
export async function startCollector(ports) {
  const binary = peer('.venv/bin/python');
  const found = await new Promise(done => {
    const child = spawn(binary, ['-c', 'import rotel, os; print(os.path.join(os.path.dirname(rotel.__file__), "rotel-agent"))']);
    let out = '';
    child.stdout.setEncoding('utf8').on('data', text => (out += text));
    child.on('close', () => done(out.trim()));
  });
  const agent = process.env.ROTEL_BIN ?? found;
  if (!agent) throw new Error('there is no rotel in .venv: run install.sh with python 3.11 to 3.13, or name one with ROTEL_BIN');
  const [http, grpc] = ports ?? [await freePort(), await freePort()];
  const listening = ['--otlp-http-endpoint', `127.0.0.1:${http}`, '--otlp-grpc-endpoint', `127.0.0.1:${grpc}`];
  const printing = ['--exporter', 'blackhole', '--debug-log', 'traces', '--debug-log', 'metrics', '--debug-log', 'logs', '--debug-log-verbosity', 'detailed'];
  const child = spawnOwn(agent, ['start', ...listening, ...printing], { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', part => (text += part));
  const exited = new Promise(done => child.on('close', done));
  await until('the collector', async () => (await listens(http)) && (await listens(grpc)));
  return {
    http,
    grpc,
    text: () => text,
    spans: () => spansOf(text),
    logs: () => logsOf(text),
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

/** The collector's print of logs, in the order in which they came: {record, event, at, level, trace, attributes}. */
function logsOf(text) {
  const logs = [];
  for (const block of text.split(/^LogRecord #\d+$/m).slice(1)) {
    const field = name => new RegExp(`^ *${name} *: (.*)$`, 'm').exec(block)?.[1].trim();
    const body = /^Body: Str\((\{.*\})\)$/m.exec(block);
    // What is still being printed is not there yet.
    if (!body || !/^Flags: \d+$/m.test(block)) continue;
    const attributes = {};
    for (const [, key, value] of block.matchAll(/^ +-> ([a-z._]+): \w+\((.*)\)$/gm)) attributes[key] = value;
    logs.push({ record: JSON.parse(body[1]), event: field('EventName'), at: field('Timestamp'), level: field('SeverityNumber'), trace: field('Trace ID'), attributes });
  }
  return logs;
}
