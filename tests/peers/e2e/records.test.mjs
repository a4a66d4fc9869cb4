// One record per request, whatever becomes of it: thousands of requests on raw
// connections, a third of them denied, broken, failing upstream or aborted by the client.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { after, before, test } from 'node:test';
import { requestRecords, startGateway, startServer } from '../harness.mjs';

const REQUESTS = Number(process.env.RECORDS_REQUESTS ?? '10000');
const WORKERS = 32;
const ABORT_AFTER_MS = 150;

const policies = {
  tools: [
    { match: ['strict__*', 'bad__*'], class: 'read' },
    { match: ['strict__write_note'], class: 'write' },
  ],
  rules: [
    { id: 'most', effect: 'allow', principals: ['sub:alice'], tools: ['strict__*', 'bad__*'], classes: ['read', 'write'] },
    { id: 'not-this', effect: 'deny', tools: ['strict__echo'], arguments: { '/message': { equals: 'forbidden' } } },
  ],
};

const call = (name, args, more = {}) => ({ method: 'tools/call', name, args, ...more });
/** Fifteen requests, five of which go wrong. */
const MIX = [
  call('strict__echo', { message: 'a' }),
  call('strict__add', { a: 1, b: 2 }),
  call('strict__echo', { message: 'forbidden' }, { outcome: 'denied' }),
  call('strict__echo', { message: 'b' }),
  call('strict__write_note', { id: 'x', body: 'y' }),
  call('strict__slow', { steps: 20, delay_ms: 100 }, { outcome: 'aborted' }),
  call('strict__echo', { message: 'c' }),
  { method: 'tools/list' },
  call('bad__close_at_once', {}, { outcome: 'faulted' }),
  call('strict__echo', { message: 'd' }),
  call('strict__nothing', {}, { outcome: 'unknown' }),
  call('strict__add', { a: 3, b: 4 }),
  call('strict__echo', { message: 'e' }),
  call('strict__echo', { message: 'f' }, { outcome: 'broken' }),
  call('bad__echo', { message: 'g' }),
];

let strict;
let bad;
let gateway;
before(async () => {
  strict = await startServer('fixtures/strict-2026.mjs');
  bad = await startServer('fixtures/misbehave.mjs');
  const upstreams = [
    { name: 'strict', http: { url: strict.url } },
    { name: 'bad', http: { url: bad.url } },
  ];
  const config = { upstreams, routes: [{ path: '/mcp', upstreams: ['strict', 'bad'] }] };
  gateway = await startGateway({ config, policies });
});
after(async () => {
  for (const one of [gateway, strict, bad]) await one?.stop();
});

function message({ method, name, args }, id) {
  const meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientCapabilities': {},
    'io.modelcontextprotocol/clientInfo': { name: 'raw', version: '1' },
  };
  return { jsonrpc: '2.0', id, method, params: { ...(name && { name, arguments: args }), _meta: meta } };
}

/** Sends one request; resolves with what became of it. */
function send(agent, ca, token, item, id) {
  const whole = JSON.stringify(message(item, id));
  const body = item.outcome === 'broken' ? whole.replace('"method"', '"id":"twice","method"') : whole;
  return new Promise(resolve => {
    const req = request(`${gateway.base}/mcp`, {
      agent,
      ca,
      method: 'POST',
      headers: {
        authorization: `Bearer ${token}`,
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
        accept: 'application/json, text/event-stream',
        'mcp-protocol-version': '2026-07-28',
        'mcp-method': item.method,
        ...(item.name && { 'mcp-name': item.name }),
      },
    });
    req.on('error', error => resolve({ error: error.message }));
    req.on('response', res => {
      let text = '';
      res.setEncoding('utf8').on('data', part => {
        text += part;
      });
      res.on('error', error => resolve({ error: error.message }));
      res.on('close', () => resolve({ status: res.statusCode, text, complete: res.complete }));
    });
    req.end(body, () => {
      if (item.outcome === 'aborted') setTimeout(() => req.destroy(), ABORT_AFTER_MS);
    });
  });
}

test(`exactly one record for each of ${REQUESTS} requests`, { timeout: 300_000 }, async () => {
  const token = await gateway.token({ sub: 'alice' });
  const ca = readFileSync(gateway.ca);
  const agent = new Agent({ keepAlive: true, maxSockets: WORKERS });
  const itemOf = n => MIX[n % MIX.length];
  const answers = new Map();
  let next = 0;
  const work = async () => {
    while (next < REQUESTS) {
      const n = next;
      next += 1;
      answers.set(n, await send(agent, ca, token, itemOf(n), `r${n}`));
    }
  };
  await Promise.all(Array.from({ length: WORKERS }, work));
  agent.destroy();

  for (const [n, answer] of answers) {
    const { outcome } = itemOf(n);
    const told = `r${n} ${outcome ?? 'fine'}: ${JSON.stringify(answer).slice(0, 500)}`;
    if (outcome === 'aborted') assert.ok(!answer.complete, told);
    else if (outcome === 'broken') assert.equal(answer.status, 400, told);
    else {
      assert.equal(answer.status, 200, told);
      const wanted = { denied: /rule_denied/, faulted: /upstream_unavailable/, unknown: /-32602/ }[outcome];
      if (wanted) assert.match(answer.text, wanted, told);
      else assert.doesNotMatch(answer.text, /"isError":\s*true|"error"/, told);
    }
  }

  const all = await gateway.settledRecords(REQUESTS);
  const records = requestRecords(all);
  const missing = Array.from({ length: REQUESTS }, (_, n) => n).filter(n => itemOf(n).outcome !== 'broken' && !records.some(r => r.rpc_id === `"r${n}"` || r.rpc_id === `r${n}`));
  assert.equal(records.length, REQUESTS, `without a record: ${missing.map(n => `${n} ${JSON.stringify(itemOf(n))} ${JSON.stringify(answers.get(n))}`)}`);
  assert.equal(new Set(records.map(({ id }) => id)).size, REQUESTS, 'no id twice');
  const byRpc = Object.groupBy(records, ({ rpc_id: id }) => id ?? '-');
  for (let n = 0; n < REQUESTS; n += 1) {
    const { outcome } = itemOf(n);
    // Whoever hangs up before the body was read has a record too, but one that cannot know the request's id.
    if (outcome === 'aborted') assert.ok((byRpc[`r${n}`]?.length ?? 0) <= 1, `r${n}`);
    else if (outcome !== 'broken') assert.equal(byRpc[`r${n}`]?.length, 1, `r${n}`);
  }
  const sequence = all.map(({ seq }) => seq);
  assert.equal(new Set(sequence).size, sequence.length, 'no sequence number twice');
});
