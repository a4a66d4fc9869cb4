// Questions of servers with sessions: to clients that declared them, where a rule allows it, and nowhere else.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { requestRecords, startGateway, startServer } from '../harness.mjs';
import { failed, line, requestCount, said, stepsOf, worked } from './expect.mjs';
import { everything } from './world.mjs';

const UPSTREAMS = ['everything', 'everything-http'];
const ELICIT = 'trigger-elicitation-request';
const SAMPLE = 'trigger-sampling-request';

const policies = {
  groups: {
    asked: { claim: 'groups', any_of: ['asked'] },
    all: { claim: 'groups', any_of: ['asked', 'quiet'] },
  },
  tools: [{ match: ['*'], class: 'read' }],
  rules: [
    { id: 'use', effect: 'allow', principals: ['group:all'], tools: ['*'], classes: ['read', 'write', 'destructive'] },
    {
      id: 'may-ask',
      effect: 'allow',
      principals: ['group:asked'],
      capabilities: ['everything*:elicitation.form', 'everything*:sampling'],
    },
  ],
};

const declared = {
  CAPABILITIES: JSON.stringify({ elicitation: { form: {} }, sampling: {}, roots: {} }),
  ANSWERS: JSON.stringify({
    'elicitation/create': { action: 'accept', content: { name: 'Ada of the gateway', integer: 7 } },
    'sampling/createMessage': { role: 'assistant', model: 'm-1', content: { type: 'text', text: 'a sampled answer' } },
  }),
};
const call = (name, args = {}) => ({ op: 'call', name, args });
const plan = [
  { op: 'list' },
  ...UPSTREAMS.flatMap(upstream => [
    call(`${upstream}__${ELICIT}`),
    call(`${upstream}__${SAMPLE}`, { prompt: 'say something', maxTokens: 10 }),
    call(`${upstream}__echo`, { message: 'still here' }),
  ]),
];

/** A session by hand: `post` sends a message, `events` reads the answer's stream up to a message that `wanted` takes. */
async function openSession(url, token) {
  const headers = {
    authorization: `Bearer ${token}`,
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
  };
  const post = (message, more = {}, signal) =>
    fetch(url, { method: 'POST', headers: { ...headers, ...more }, body: JSON.stringify({ jsonrpc: '2.0', ...message }), signal });
  const params = {
    protocolVersion: '2025-11-25',
    capabilities: { elicitation: {} },
    clientInfo: { name: 'by-hand', version: '1' },
  };
  const opened = await post({ id: 0, method: 'initialize', params });
  assert.equal(opened.status, 200, await opened.text());
  const session = { 'mcp-session-id': opened.headers.get('mcp-session-id'), 'mcp-protocol-version': '2025-11-25' };
  const answer = (id, more = {}) => post({ id, result: { action: 'accept', content: { name: 'by hand' } } }, { ...session, ...more });
  const end = () => fetch(url, { method: 'DELETE', headers: { ...headers, ...session } });
  return { session, answer, end, post: (message, signal) => post(message, session, signal) };
}

async function until(stream, wanted) {
  const decoder = new TextDecoder();
  let text = '';
  for (;;) {
    const { value, done } = await stream.read();
    assert.ok(!done, `the stream ended early: ${text}`);
    text += decoder.decode(value, { stream: true });
    for (const event of text.split('\n\n').slice(0, -1)) {
      const data = event.split('\n').find(part => part.startsWith('data: '));
      const message = data?.slice('data: '.length).trim() && JSON.parse(data.slice('data: '.length));
      if (message && wanted(message)) return message;
    }
  }
}

/** A server of 2025-11-25 that asks ten times in one call, and answers when all but `CALL_OPEN_MAX` were refused. */
const CALL_OPEN_MAX = 8;
async function startAsker() {
  const result = (id, members) => JSON.stringify({ jsonrpc: '2.0', id, result: members });
  const asked = { refused: 0, reply: undefined };
  const json = (response, text, headers = {}) => response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(text);
  const answers = {
    initialize: (id, response) =>
      json(response, result(id, { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: { name: 'asker', version: '1' } }), {
        'mcp-session-id': 's',
      }),
    'tools/list': (id, response) => json(response, result(id, { tools: [{ name: 'ask', inputSchema: { type: 'object' } }] })),
    'tools/call': (id, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      asked.reply = () => response.end(`data: ${result(id, { content: [{ type: 'text', text: 'enough' }] })}\n\n`);
      for (let at = 0; at < CALL_OPEN_MAX + 2; at += 1) {
        const question = { jsonrpc: '2.0', id: `theirs-${at}`, method: 'elicitation/create', params: { message: `${at}`, requestedSchema: {} } };
        response.write(`data: ${JSON.stringify(question)}\n\n`);
      }
    },
  };
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const { id, method, error } = body ? JSON.parse(body) : {};
    if (answers[method]) return answers[method](id, response);
    if (error?.code === -32601 && (asked.refused += 1) === 2) asked.reply();
    return response.writeHead(method === 'server/discover' ? 404 : 202).end();
  });
  await new Promise(done => server.listen(0, '127.0.0.1', done));
  return { url: `http://127.0.0.1:${server.address().port}/`, stop: () => server.close() };
}

describe('questions', { timeout: 120_000 }, () => {
  let server;
  let asker;
  let gateway;
  let sent = 0;
  // Answers to questions, by the outcome on record.
  const counted = { completed: 0, refused: 0 };
  const run = async (group, env) => {
    const token = await gateway.token({ sub: `${group}-person`, groups: [group] });
    const lines = await gateway.client('ts1', plan, { token, env });
    sent += requestCount(lines);
    return stepsOf(lines);
  };
  const offers = steps => worked(line(steps, 'list')).tools.map(({ name }) => name);
  before(async () => {
    server = await startServer('node_modules/@modelcontextprotocol/server-everything/dist/index.js', {
      args: ['streamableHttp'],
      preload: true,
    });
    asker = await startAsker();
    const upstreams = [
      everything('everything'),
      { name: 'everything-http', http: { url: server.url } },
      { name: 'everything-asker', http: { url: asker.url } },
    ];
    const routes = [{ path: '/mcp', upstreams: upstreams.map(({ name }) => name) }];
    gateway = await startGateway({ config: { routes, upstreams, tls: 'none' }, policies });
  });
  after(async () => {
    await gateway?.stop();
    await server?.stop();
    asker?.stop();
  });

  test('reach a client that declared them, and its answers reach the server', async () => {
    const steps = await run('asked', declared);
    for (const upstream of UPSTREAMS) {
      assert.ok(offers(steps).includes(`${upstream}__${ELICIT}`), offers(steps).join());
      const elicited = line(steps, 'call', `${upstream}__${ELICIT}`);
      assert.match(said(elicited), /Ada of the gateway/);
      const [question] = elicited.notifications.filter(({ method }) => method === 'elicitation/create');
      assert.equal(question.params.requestedSchema.properties.number.default, 3.14);
      assert.match(question.id, /^pq-[0-9a-f]+$/);
      assert.ok(question.params.message.startsWith(`[${upstream}] `), question.params.message);
      assert.match(said(line(steps, 'call', `${upstream}__${SAMPLE}`)), /a sampled answer/);
      counted.completed += 2;
      assert.match(said(line(steps, 'call', `${upstream}__echo`)), /still here/);
    }
  });

  test('bring back the error of a client that refuses', async () => {
    const error = { error: { code: -1, message: 'the person said\u001b[31m no' } };
    const answers = { 'elicitation/create': error, 'sampling/createMessage': error };
    const steps = await run('asked', { ...declared, ANSWERS: JSON.stringify(answers) });
    for (const upstream of UPSTREAMS) {
      const { result } = line(steps, 'call', `${upstream}__${ELICIT}`);
      assert.equal(result.isError, true);
      assert.match(result.content[0].text, /-1.*the person said\[31m no/);
      counted.completed += 2;
      assert.match(said(line(steps, 'call', `${upstream}__echo`)), /still here/);
    }
  });

  test('reach a client of the newest revision in results, and its retry takes the call over', async () => {
    const token = await gateway.token({ sub: 'newest', groups: ['asked'] });
    const meta = {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientCapabilities': { elicitation: { form: {} } },
    };
    for (const upstream of UPSTREAMS) {
      const name = `${upstream}__${ELICIT}`;
      const call = async more => {
        const response = await fetch(`${gateway.base}/mcp`, {
          method: 'POST',
          headers: {
            authorization: `Bearer ${token}`,
            'content-type': 'application/json',
            accept: 'application/json, text/event-stream',
            'mcp-protocol-version': '2026-07-28',
            'mcp-method': 'tools/call',
            'mcp-name': name,
          },
          body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, arguments: {}, ...more, _meta: meta } }),
        });
        sent += 1;
        return response.json();
      };
      const { result: asked } = await call({});
      assert.equal(asked?.resultType, 'input_required', JSON.stringify(asked));
      const [[key, { method, params }], ...others] = Object.entries(asked.inputRequests);
      assert.equal(method, 'elicitation/create');
      assert.ok(params.message.startsWith(`[${upstream}] `), params.message);
      assert.deepEqual(others, []);
      const retry = {
        requestState: asked.requestState,
        inputResponses: { [key]: { action: 'accept', content: { name: 'Grace of the retry', integer: 7 } } },
      };
      const { result } = await call(retry);
      assert.match(JSON.stringify(result), /Grace of the retry/);
      assert.equal((await call(retry)).error?.code, -32602);
    }
  });

  for (const [why, group, env] of [
    ['without a rule', 'quiet', declared],
    ['without a declaration', 'asked', {}],
  ]) {
    test(`do not exist ${why}`, async () => {
      const steps = await run(group, env);
      for (const upstream of UPSTREAMS) {
        for (const tool of [ELICIT, SAMPLE]) {
          assert.ok(!offers(steps).includes(`${upstream}__${tool}`), tool);
          const entry = line(steps, 'call', `${upstream}__${tool}`);
          failed(entry, -32602);
          assert.deepEqual(entry.notifications, []);
        }
        assert.match(said(line(steps, 'call', `${upstream}__echo`)), /still here/);
      }
    });
  }

  test('are answered once, and only by the session that was asked', async () => {
    const url = `${gateway.base}/mcp`;
    const [alice, mallory] = await Promise.all(['alice', 'mallory'].map(sub => gateway.token({ sub, groups: ['asked'] })));
    for (const upstream of UPSTREAMS) {
      const [asked, other, foreign] = [await openSession(url, alice), await openSession(url, alice), await openSession(url, mallory)];
      const response = await asked.post({ id: 1, method: 'tools/call', params: { name: `${upstream}__${ELICIT}`, arguments: {} } });
      const stream = response.body.getReader();
      const question = await until(stream, ({ method }) => method === 'elicitation/create');
      const statuses = [
        await other.answer(question.id),
        await foreign.answer(question.id),
        await foreign.answer(question.id, asked.session),
        await asked.answer('pq-0'),
        await asked.answer(question.id),
        await asked.answer(question.id),
      ].map(({ status }) => status);
      assert.deepEqual(statuses, [202, 202, 404, 202, 202, 202]);
      const { result } = await until(stream, ({ id }) => id === 1);
      assert.match(JSON.stringify(result), /by hand/);
      sent += 3 + 1 + statuses.length;
      counted.completed += 1;
      counted.refused += 5;
    }
  });

  test('outlive a connection that breaks, and end with the session and its call', async () => {
    const token = await gateway.token({ sub: 'gone', groups: ['asked'] });
    for (const upstream of UPSTREAMS) {
      const session = await openSession(`${gateway.base}/mcp`, token);
      const gone = new AbortController();
      const params = { name: `${upstream}__${ELICIT}`, arguments: {} };
      const response = await session.post({ id: 1, method: 'tools/call', params }, gone.signal);
      await until(response.body.getReader(), ({ method }) => method === 'elicitation/create');
      gone.abort();
      // Until then the client could come back for its answer, question and all.
      assert.equal((await session.end()).status, 204);
      sent += 3;
      const records = requestRecords(await gateway.settledRecords(sent));
      const record = records.find(({ principal, name }) => principal?.sub === 'gone' && name === params.name);
      assert.equal(record?.outcome.status, 'cancelled', JSON.stringify(record));
    }
  });

  test('end with a call that is cancelled', async () => {
    const token = await gateway.token({ sub: 'cancels', groups: ['asked'] });
    for (const upstream of UPSTREAMS) {
      const session = await openSession(`${gateway.base}/mcp`, token);
      const params = { name: `${upstream}__${ELICIT}`, arguments: {} };
      const response = await session.post({ id: 'c', method: 'tools/call', params });
      const stream = response.body.getReader();
      const question = await until(stream, ({ method }) => method === 'elicitation/create');
      assert.equal((await session.post({ method: 'notifications/cancelled', params: { requestId: 'c' } })).status, 202);
      while (!(await stream.read()).done);
      assert.equal((await session.answer(question.id)).status, 202);
      sent += 4;
      counted.refused += 1;
      const records = requestRecords(await gateway.settledRecords(sent));
      const record = records.find(({ principal, name }) => principal?.sub === 'cancels' && name === params.name);
      assert.equal(record?.outcome.status, 'cancelled', JSON.stringify(record));
    }
  });

  test('are open in bounded number', async () => {
    const token = await gateway.token({ sub: 'patient', groups: ['asked'] });
    const session = await openSession(`${gateway.base}/mcp`, token);
    const params = { name: 'everything-asker__ask', arguments: {} };
    const response = await session.post({ id: 1, method: 'tools/call', params });
    sent += 2;
    const text = await response.text();
    assert.equal(text.match(/"id":"pq-/g).length, CALL_OPEN_MAX);
    assert.doesNotMatch(text, /theirs-/);
    assert.match(text, /enough/);
  });

  test('leave one record for each answer', async () => {
    const records = requestRecords(await gateway.settledRecords(sent));
    assert.equal(records.length, sent);
    const answers = records.filter(({ method }) => method === 'response');
    for (const [status, wanted] of Object.entries(counted)) {
      assert.equal(answers.filter(({ outcome }) => outcome.status === status).length, wanted, status);
    }
  });
});
