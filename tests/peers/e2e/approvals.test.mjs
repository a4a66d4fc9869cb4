// Approvals as agents of the official SDKs meet them: each way of being told, with a yes, a no, and a time that ran out.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { RUST_PEER } from '../harness.mjs';
import { startDesk } from './desk.mjs';
import { denial, line, said, stepsOf } from './expect.mjs';

const URL_QUESTIONS = { CAPABILITIES: JSON.stringify({ elicitation: { form: {}, url: {} } }), ANSWERS: JSON.stringify({ 'elicitation/url': { action: 'accept' } }) };
const NO_QUESTIONS = { CAPABILITIES: '{}' };
// The SDKs for JavaScript know no tasks of 2026-07-28: they refuse such a result, and send no tasks/get. The one for Rust speaks them.
const TASKS = { CAPABILITIES: JSON.stringify({ extensions: { 'io.modelcontextprotocol/tasks': {} } }), TIMEOUT_MS: '90000' };
// Who is told how. `held`: the call itself waits for the people.
const AGENTS = [
  { name: 'newest, with links', kind: 'ts2', env: URL_QUESTIONS, held: true },
  { name: 'newest, with nothing', kind: 'ts2', env: NO_QUESTIONS, held: false },
  { name: 'session, with links', kind: 'ts1', env: URL_QUESTIONS, held: true },
  { name: 'session, with nothing', kind: 'ts1', env: NO_QUESTIONS, held: false },
  { name: 'session of the newer SDK, with links', kind: 'ts2', env: { ...URL_QUESTIONS, ERA: 'legacy' }, held: true },
  { name: 'newest, with tasks', kind: 'rust', env: TASKS, op: 'taskCall', held: true },
];
const POLL_MS = 50;
const WAIT_MS = 60_000;
/** The shortest time that a rule can give people, and some. */
const SHORT_MS = 61_500;

const wait = ms => new Promise(done => setTimeout(done, ms));
const note = (op, id) => [{ op, name: 'strict__write_note', args: { id, body: 'x' } }];

describe('approvals', { timeout: 180_000 }, () => {
  let desk;
  let token;
  const api = async (path, body) => {
    const response = await fetch(`${desk.admin}/api/v1/${path}`, {
      method: body ? 'POST' : 'GET',
      headers: { authorization: `Bearer ${await desk.apiToken('sam')}`, ...(body && { 'content-type': 'application/json' }) },
      body: body && JSON.stringify(body),
    });
    assert.equal(response.status, 200, await response.clone().text());
    return response.json();
  };
  /** What the agent makes of one call. */
  const call = async ({ kind, env, op = 'call' }, id) => {
    const lines = await desk.gateway.client(kind, note(op, id), { token, env });
    return line(stepsOf(lines), op);
  };
  /** The pending request for the note of this id. */
  const pending = async id => {
    for (const until = performance.now() + WAIT_MS; performance.now() < until; await wait(POLL_MS)) {
      const { items } = await api('approvals?state=pending&limit=100');
      const found = items.find(item => JSON.stringify(item).includes(`"${id}"`) || JSON.stringify(item).includes(`\\"${id}\\"`));
      if (found) return found.id;
    }
    throw new Error(`nobody asks for ${id}`);
  };
  const decide = async (id, verdict) => api(`approvals/${await pending(id)}/${verdict}`, { reason: 'looked at it' });
  before(async () => {
    assert.ok(existsSync(RUST_PEER), `no ${RUST_PEER}: cargo build --example peer`);
    desk = await startDesk();
    token = await desk.agentToken('alice');
  });
  after(async () => {
    await desk?.stop();
  });

  for (const [at, agent] of AGENTS.entries()) {
    test(`${agent.name}: a yes lets that call through, once`, async () => {
      const id = `yes-${at}`;
      if (agent.held) {
        const [told] = await Promise.all([call(agent, id), decide(id, 'approve')]);
        assert.match(said(told), new RegExp(id));
      } else {
        const first = denial(await call(agent, id));
        assert.equal(first.reason, 'approval_required');
        await decide(id, 'approve');
        assert.match(said(await call(agent, id)), new RegExp(id));
        const second = denial(await call(agent, id));
        assert.equal(second.reason, 'approval_required');
        assert.notEqual(second.approval_id, first.approval_id);
      }
    });

    test(`${agent.name}: a no is told as one, and nothing runs`, async () => {
      const id = `no-${at}`;
      let told;
      if (agent.held) [told] = await Promise.all([call(agent, id), decide(id, 'deny')]);
      else {
        denial(await call(agent, id));
        await decide(id, 'deny');
        told = await call(agent, id);
      }
      assert.equal(denial(told).reason, 'approval_denied');
    });
  }

  test('what nobody decided in time is told as that, to every client', async () => {
    // Asked by a client that is not held, whoever meets the end of it: a request is the call's, not the connection's.
    for (const at of AGENTS.keys()) assert.equal(denial(await call(AGENTS[1], `short-${at}`)).reason, 'approval_required');
    const waiting = call(AGENTS.at(-1), 'short-task');
    await wait(SHORT_MS);
    assert.equal(denial(await waiting).reason, 'approval_expired', 'in the result of a task');
    for (const [at, agent] of AGENTS.entries()) assert.equal(denial(await call(agent, `short-${at}`)).reason, 'approval_expired', agent.name);
  });
});
