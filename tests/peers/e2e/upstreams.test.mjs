// Upstreams that die, hang, lie and flood: a clear error in time, bounded memory, and
// no harm to their neighbours.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { CLIENTS, requestRecords, sleep, startGateway, startServer } from '../harness.mjs';
import { misbehaviours, SECRET } from '../fixtures/misbehaviours.mjs';
import { DENIAL, denial, line, requestCount, said, stepsOf, worked } from './expect.mjs';
import { everything } from './world.mjs';

const UPSTREAM_TIMEOUT_MS = 3_000;
/** The upstream's deadline and room for a busy machine. */
const ANSWER_MS_MAX = UPSTREAM_TIMEOUT_MS + 7_000;
/** A handful of bounded answers of 2 MiB at a time, never one of 100 MiB. */
const PEAK_MIB_MAX = 160;
const TIMEOUT = ['upstream_timeout'];
const TOO_LARGE = ['response_too_large'];
/** What a refusal may be called; `upstream_unavailable` unless listed. */
const REASONS = {
  hang: TIMEOUT,
  hang_after_headers: TIMEOUT,
  slow_drip: TIMEOUT,
  huge_json: TOO_LARGE,
  huge_event: TOO_LARGE,
  endless_events: [...TIMEOUT, ...TOO_LARGE],
  endless_comments: [...TIMEOUT, ...TOO_LARGE],
  // A session server may close the stream of a request and go on elsewhere: waiting is legitimate.
  close_mid_stream: [...TIMEOUT, 'upstream_unavailable'],
  stream_without_answer: [...TIMEOUT, 'upstream_unavailable'],
};

const policies = {
  groups: { engineering: { claim: 'groups', any_of: ['eng'] } },
  tools: [{ match: ['bad__*', 'everything__*', 'strict__*'], class: 'read' }],
  rules: [{ id: 'read', effect: 'allow', principals: ['group:engineering'], tools: ['*'] }],
};

const startPeers = async () => {
  const bad = await startServer('fixtures/misbehave.mjs');
  const strict = await startServer('fixtures/strict-2026.mjs');
  const upstreams = [
    { name: 'bad', http: { url: bad.url }, timeout: '3s' },
    { ...everything('everything'), timeout: '20s' },
    { name: 'strict', http: { url: strict.url }, timeout: '20s' },
  ];
  const config = {
    routes: [{ path: '/mcp', upstreams: upstreams.map(({ name }) => name) }],
    upstreams,
    limits: { response: '2MiB' },
  };
  return { bad, strict, gateway: await startGateway({ config, policies }) };
};

const echo = { op: 'call', name: 'strict__echo', args: { message: 'neighbour' } };

describe('a misbehaving upstream', { timeout: 300_000 }, () => {
  let peers;
  let token;
  let sent = 0;
  before(async () => {
    peers = await startPeers();
    token = await peers.gateway.token({ sub: 'alice', groups: ['eng'] });
  });
  after(async () => {
    for (const name of ['gateway', 'bad', 'strict']) await peers?.[name]?.stop();
  });

  const names = Object.keys(misbehaviours);
  for (const kind of Object.keys(CLIENTS)) {
    describe(kind, () => {
      let steps;
      before(async () => {
        const each = names.map(name => ({ op: 'call', name: `bad__${name}`, args: {} }));
        const neighbours = Array.from({ length: 10 }, () => echo);
        const plan = [
          { op: 'call', name: 'bad__echo', args: { message: 'well' } },
          { op: 'parallel', steps: [...each, ...neighbours] },
          { op: 'call', name: 'bad__echo', args: { message: 'still well' } },
          { op: 'list' },
        ];
        const lines = await peers.gateway.client(kind, plan, { token });
        sent += requestCount(lines);
        steps = stepsOf(lines);
      });

      for (const name of names) {
        test(`${name}: ${misbehaviours[name].description}`, () => {
          const entry = line(steps, 'call', `bad__${name}`);
          assert.ok(entry.ms < ANSWER_MS_MAX, `${entry.ms} ms`);
          assert.ok(!JSON.stringify(entry).includes(SECRET), 'no text of the upstream');
          // An error that the upstream answered in order may stay a JSON-RPC error.
          if (name === 'rpc_error' && !entry.ok) return assert.equal(entry.error.code, -32603);
          const found = denial(entry);
          return assert.ok((REASONS[name] ?? ['upstream_unavailable']).includes(found.reason), JSON.stringify(found));
        });
      }

      test('its neighbours answer meanwhile', () => {
        for (let nth = 0; nth < 10; nth += 1) assert.equal(said(line(steps, 'call', 'strict__echo', nth)), 'neighbour');
      });

      test('it is used again when it behaves', () => {
        assert.equal(said(line(steps, 'call', 'bad__echo', 1)), 'still well');
        assert.ok(worked(line(steps, 'list')).tools.length > names.length);
      });
    });
  }

  test('memory stays bounded', () => {
    const { peak } = peers.gateway.status();
    assert.ok(peak < PEAK_MIB_MAX, `${peak} MiB`);
  });

  test('neither log nor records carry its text', () => {
    assert.ok(!peers.gateway.log().includes(SECRET));
    assert.ok(!JSON.stringify(peers.gateway.records()).includes(SECRET));
  });

  test('every request has one record', async () => {
    assert.equal(requestRecords(await peers.gateway.settledRecords(sent)).length, sent);
  });
});

describe('a killed upstream', { timeout: 120_000 }, () => {
  for (const kind of Object.keys(CLIENTS)) {
    describe(kind, () => {
      let peers;
      let token;
      before(async () => {
        peers = await startPeers();
        token = await peers.gateway.token({ sub: 'alice', groups: ['eng'] });
      });
      after(async () => {
        for (const name of ['gateway', 'bad', 'strict']) await peers?.[name]?.stop();
      });

      /** Runs a long call, kills through `kill` once `begun` holds, then asks the neighbour. */
      const interrupted = async ({ long, begun, kill, neighbour }) => {
        const plan = [long, neighbour, { op: 'list' }];
        const running = peers.gateway.client(kind, plan, { token });
        for (let tries = 0; tries < 150 && !(await begun()); tries += 1) await sleep(100);
        await kill();
        return stepsOf(await running);
      };
      const victims = () => peers.gateway.children().filter(({ command }) => command.includes('server-everything'));

      test('over stdio: the call fails clearly, the process is started again', async () => {
        const long = { op: 'call', name: 'everything__trigger-long-running-operation', args: { duration: 15, steps: 5 } };
        // The call follows the start of the process within moments and lasts for long.
        const begun = async () => victims().length > 0 && (await sleep(4_000), true);
        const kill = () => {
          assert.ok(victims().length > 0, 'the gateway runs a child');
          for (const { pid } of victims()) process.kill(pid, 'SIGKILL');
        };
        const neighbour = { op: 'call', name: 'everything__echo', args: { message: 'back' } };
        const steps = await interrupted({ long, begun, kill, neighbour });
        assert.equal(denial(steps[0]).reason, 'upstream_unavailable');
        assert.ok(steps[0].ms < 14_000, `${steps[0].ms} ms: not the time of the call`);
        assert.match(said(steps[1]), /back/);
      });

      test('over HTTP: the call fails clearly, neighbours go on, the list keeps its last state', async () => {
        const long = { op: 'call', name: 'strict__slow', args: { steps: 150, delay_ms: 100 } };
        const neighbour = { op: 'call', name: 'everything__echo', args: { message: 'here' } };
        const begun = async () => (await peers.strict.seen()).requests.some(({ headers }) => headers['mcp-name'] === 'slow');
        const kill = () => peers.strict.stop('SIGKILL');
        const steps = await interrupted({ long, begun, kill, neighbour });
        assert.equal(denial(steps[0]).reason, 'upstream_unavailable');
        assert.ok(steps[0].ms < 14_000, `${steps[0].ms} ms: not the time of the call`);
        assert.match(said(steps[1]), /here/);
        assert.ok(worked(line(steps, 'list')).tools.some(({ name }) => name.startsWith('everything__')));
      });

      test('a call to what is down fails at once', async () => {
        const [entry] = stepsOf(await peers.gateway.client(kind, [echo], { token }));
        // Its tools may be known from before (refused as unavailable) or not (unknown).
        if (entry.ok) assert.equal(entry.result._meta?.[DENIAL]?.reason, 'upstream_unavailable', JSON.stringify(entry));
        else assert.equal(entry.error.code, -32602, JSON.stringify(entry));
        assert.ok(entry.ms < 20_000);
      });
    });
  }
});
