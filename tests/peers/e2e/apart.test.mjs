// Questions that a server with sessions asks on the stream of the session instead of that of the call, as `server.elicitInput` of the
// TypeScript SDK 1.x does.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startGateway, startServer } from '../harness.mjs';
import { line, said, stepsOf } from './expect.mjs';

const NAME = 'apart__test_elicitation_apart';
const policies = {
  tools: [{ match: ['*'], class: 'read' }],
  rules: [
    { id: 'use', effect: 'allow', principals: ['any'], tools: ['*'] },
    { id: 'may-ask', effect: 'allow', principals: ['any'], capabilities: ['apart:elicitation.form'] },
  ],
};
const person = name => ({
  CAPABILITIES: JSON.stringify({ elicitation: { form: {} } }),
  ANSWERS: JSON.stringify({ 'elicitation/create': { action: 'accept', content: { name } } }),
});

describe('questions on the stream of a session', { timeout: 120_000 }, () => {
  let server;
  let gateway;
  before(async () => {
    server = await startServer('fixtures/fixture-2025.mjs');
    const upstreams = [{ name: 'apart', http: { url: server.url } }];
    gateway = await startGateway({ config: { routes: [{ path: '/mcp', upstreams: ['apart'] }], upstreams, tls: 'none' }, policies });
  });
  after(async () => {
    await gateway?.stop();
    await server?.stop();
  });

  for (const kind of ['ts1', 'ts2', 'ts2-legacy']) {
    test(`reach ${kind}, one call after the other`, async () => {
      const token = await gateway.token({ sub: kind });
      const plan = [{ op: 'list' }, { op: 'call', name: NAME, args: {} }, { op: 'call', name: NAME, args: {} }];
      const steps = stepsOf(await gateway.client(kind, plan, { token, env: person(`Ada by ${kind}`) }));
      for (const nth of [0, 1]) assert.equal(said(line(steps, 'call', NAME, nth)), `accept: Ada by ${kind}`);
    });
  }

  test('reach the person whose call it is, whoever calls at the same time', async () => {
    const people = ['Ada', 'Grace', 'Mary'];
    const asked = people.map(async name => {
      const token = await gateway.token({ sub: name });
      const steps = stepsOf(await gateway.client('ts1', [{ op: 'call', name: NAME, args: {} }], { token, env: person(name) }));
      assert.equal(said(line(steps, 'call', NAME)), `accept: ${name}`);
    });
    await Promise.all(asked);
  });
});
