// Official clients of both eras through the gateway to six real servers at once.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { CLIENTS, requestRecords } from '../harness.mjs';
import { REVISION, denial, failed, line, requestCount, said, stepsOf, worked } from './expect.mjs';
import { startWorld } from './world.mjs';

const ENV_SECRET = 'gateway-environment-stays-home';
const call = (name, args) => ({ op: 'call', name, args });

const plan = (root, kind) => [
  { op: 'list' },
  call('everything__echo', { message: 'over stdio' }),
  call('everything-http__echo', { message: 'over http' }),
  call('everything__get-sum', { a: 2, b: 40 }),
  call('everything__get-env', {}),
  call('everything__get-tiny-image', {}),
  call('files__read_text_file', { path: join(root, 'public/note.txt') }),
  call('files__list_allowed_directories', {}),
  call('memory__create_entities', { entities: [{ name: `Ada of ${kind}`, entityType: 'person', observations: ['counts'] }] }),
  call('memory__read_graph', {}),
  call('time__convert_time', { source_timezone: 'UTC', time: '12:00', target_timezone: 'Asia/Tokyo' }),
  call('strict__echo', { message: 'only the newest revision' }),
  call('strict__region', { region: 'eu-1' }),
  call('strict__write_note', { id: 'n', body: 'b' }),
  // Refused.
  call('files__read_text_file', { path: join(root, 'private/note.txt') }),
  call('files__read_text_file', { path: `${root}/public/../private/note.txt` }),
  call('strict__delete_note', { id: 'welcome' }),
  call('strict__delete_note', { id: 'other' }),
  call('memory__delete_entities', { entityNames: ['Ada'] }),
  call('no__such_tool', {}),
  ...Array.from({ length: 4 }, (_, at) => call('strict__add', { a: at, b: 1 })),
  // Everything that is not a tool.
  { op: 'listResources' },
  { op: 'listTemplates' },
  { op: 'read', uri: 'strict+note://notes/welcome' },
  { op: 'read', uri: 'everything+demo://resource/static/document/features.md' },
  { op: 'listPrompts' },
  { op: 'prompt', name: 'strict__travel', args: { city: 'paris' } },
  { op: 'prompt', name: 'everything__args-prompt', args: { city: 'paris' } },
  { op: 'complete', ref: { type: 'ref/prompt', name: 'strict__travel' }, argument: { name: 'city', value: 'par' } },
  { op: 'complete', ref: { type: 'ref/prompt', name: 'everything__completable-prompt' }, argument: { name: 'department', value: 'E' } },
  // Progress and cancellation.
  { op: 'progressCall', name: 'strict__slow', args: { steps: 4, delay_ms: 50 } },
  { op: 'progressCall', name: 'everything__trigger-long-running-operation', args: { duration: 1, steps: 4 } },
  call('strict__cancelled_count', {}),
  { op: 'cancelCall', name: 'strict__slow', args: { steps: 60, delay_ms: 100 }, after_ms: 500 },
  { op: 'sleep', ms: 1500 },
  call('strict__cancelled_count', {}),
];

describe('clients', { timeout: 240_000 }, () => {
  let world;
  let sent = 0;
  before(async () => {
    world = await startWorld({ env: { PORTCULLIS_TEST_SECRET: ENV_SECRET } });
  });
  after(() => world?.stop());

  for (const kind of Object.keys(CLIENTS)) {
    describe(kind, () => {
      let lines;
      let steps;
      before(async () => {
        const token = await world.gateway.token({ sub: `alice-${kind}`, groups: ['eng'] });
        lines = await world.gateway.client(kind, plan(world.root, kind), { token });
        sent += requestCount(lines);
        steps = stepsOf(lines);
      });

      test('speaks its revision', () => assert.equal(lines[0].result.version, REVISION[kind]));

      test('lists the tools of all upstreams under prefixed names', () => {
        const names = worked(line(steps, 'list')).tools.map(({ name }) => name);
        const upstreams = new Set(names.map(name => name.split('__')[0]));
        assert.deepEqual([...upstreams].sort(), ['everything', 'everything-http', 'files', 'memory', 'strict', 'time']);
        assert.equal(new Set(names).size, names.length, 'no name twice');
        for (const hidden of ['memory__delete_entities', 'files__write_file', 'files__edit_file']) {
          assert.ok(!names.includes(hidden), `${hidden} is hidden`);
        }
        assert.ok(names.includes('strict__delete_note'), 'a name that some arguments allow is visible');
      });

      test('calls tools of every upstream', () => {
        const texts = [
          ['everything__echo', /over stdio/],
          ['everything-http__echo', /over http/],
          ['everything__get-sum', /42/],
          ['files__read_text_file', /a public note/],
          ['memory__create_entities', new RegExp(`Ada of ${kind}`)],
          ['memory__read_graph', /Ada/],
          ['time__convert_time', /Tokyo/],
          ['strict__echo', /only the newest revision/],
          ['strict__region', /region=eu-1 header=eu-1/],
          ['strict__write_note', /stored n/],
        ];
        for (const [name, text] of texts) assert.match(said(line(steps, 'call', name)), text, name);
        const image = worked(line(steps, 'call', 'everything__get-tiny-image')).content.find(({ type }) => type === 'image');
        assert.ok(image.data.length > 100);
      });

      test('gives child processes nothing of its environment', () => {
        const text = said(line(steps, 'call', 'everything__get-env'));
        assert.ok(!text.includes(ENV_SECRET), text);
      });

      test('refuses arguments that no rule allows', () => {
        for (const nth of [1, 2]) {
          assert.equal(denial(line(steps, 'call', 'files__read_text_file', nth)).reason, 'no_rule');
        }
      });

      test('lets a deny rule win', () => {
        const found = denial(line(steps, 'call', 'strict__delete_note'));
        assert.deepEqual([found.reason, found.rule], ['rule_denied', 'keep-welcome']);
        assert.match(said(line(steps, 'call', 'strict__delete_note', 1)), /no note other/);
      });

      test('answers a hidden name exactly as an unknown one', () => {
        const hidden = failed(line(steps, 'call', 'memory__delete_entities'), -32602);
        const unknown = failed(line(steps, 'call', 'no__such_tool'), -32602);
        const anonymous = ({ message }) => message.replaceAll(/memory__delete_entities|no__such_tool/g, 'NAME');
        assert.equal(anonymous(hidden), anonymous(unknown));
        assert.deepEqual(Object.keys(hidden.data ?? {}), Object.keys(unknown.data ?? {}));
      });

      test('limits the rate per principal', () => {
        for (const nth of [0, 1, 2]) assert.match(said(line(steps, 'call', 'strict__add', nth)), new RegExp(`^${nth + 1}`));
        const found = denial(line(steps, 'call', 'strict__add', 3));
        assert.equal(found.reason, 'rate_limited');
        assert.ok(found.retry_after_ms > 0);
      });

      test('lists and reads resources under prefixed URIs', () => {
        const uris = worked(line(steps, 'listResources')).resources.map(({ uri }) => uri);
        assert.ok(uris.includes('strict+note://notes/welcome'), uris.join());
        assert.ok(uris.some(uri => uri.startsWith('everything+demo://')), uris.join());
        const templates = worked(line(steps, 'listTemplates')).resourceTemplates.map(({ uriTemplate }) => uriTemplate);
        assert.ok(templates.includes('strict+note://byid/{id}'), templates.join());
        const [note] = worked(line(steps, 'read', 'strict+note://notes/welcome')).contents;
        assert.deepEqual([note.uri, note.text], ['strict+note://notes/welcome', 'Hello from the strict server']);
        worked(line(steps, 'read', 'everything+demo://resource/static/document/features.md'));
      });

      test('lists, gets and completes prompts', () => {
        const names = worked(line(steps, 'listPrompts')).prompts.map(({ name }) => name);
        assert.ok(names.includes('strict__travel') && names.includes('everything__simple-prompt'), names.join());
        assert.match(worked(line(steps, 'prompt', 'strict__travel')).messages[0].content.text, /trip to paris/);
        worked(line(steps, 'prompt', 'everything__args-prompt'));
        assert.deepEqual(worked(line(steps, 'complete')).completion.values, ['paris', 'park', 'party']);
        assert.deepEqual(worked(line(steps, 'complete', undefined, 1)).completion.values, ['Engineering']);
      });

      test('carries progress', () => {
        for (const name of ['strict__slow', 'everything__trigger-long-running-operation']) {
          const entry = line(steps, 'progressCall', name);
          worked(entry);
          const values = entry.notifications.map(({ progress }) => progress);
          // The 1.x client may drop the last notification when it comes with the result.
          assert.ok(values.length >= 3, `${name}: ${values}`);
          assert.deepEqual(values, values.toSorted((a, b) => a - b), name);
        }
      });

      test('carries a cancellation to the upstream', () => {
        assert.equal(line(steps, 'cancelCall', 'strict__slow').ok, false);
        const count = nth => Number(said(line(steps, 'call', 'strict__cancelled_count', nth)));
        assert.equal(count(1), count(0) + 1);
      });

      test('names the record of a refusal', () => {
        const records = world.gateway.records();
        const found = denial(line(steps, 'call', 'strict__delete_note'));
        const record = records.find(({ id, kind }) => id === found.record && kind !== 'intent');
        assert.ok(record, `no record ${found.record}`);
        assert.deepEqual([record.decision.effect, record.decision.reason], ['deny', 'rule_denied']);
        assert.equal(record.principal.sub, `alice-${kind}`);
        assert.equal(record.name, 'strict__delete_note');
      });
    });
  }

  test('a principal without a rule sees nothing and can call nothing', async () => {
    const token = await world.gateway.token({ sub: 'mallory', groups: ['sales'] });
    for (const kind of Object.keys(CLIENTS)) {
      const lines = await world.gateway.client(kind, [{ op: 'list' }, call('everything__echo', { message: 'x' })], { token });
      sent += requestCount(lines);
      const steps = stepsOf(lines);
      assert.deepEqual(worked(line(steps, 'list')).tools, [], kind);
      failed(line(steps, 'call', 'everything__echo'), -32602);
    }
  });

  test('a write has its intent before its outcome', () => {
    const records = world.gateway.records();
    const intents = records.filter(({ kind }) => kind === 'intent');
    assert.ok(intents.length >= 2 * Object.keys(CLIENTS).length, `${intents.length} intents`);
    for (const { seq } of intents) {
      const outcomes = records.filter(({ kind, intent }) => kind !== 'intent' && intent === seq);
      assert.equal(outcomes.length, 1, `intent ${seq}`);
      assert.ok(outcomes[0].seq > seq);
    }
  });

  test('every HTTP request has exactly one record that is not an intent', async () => {
    const records = requestRecords(await world.gateway.settledRecords(sent));
    assert.equal(new Set(records.map(({ id }) => id)).size, records.length, 'no id twice');
    const methods = Object.entries(Object.groupBy(records, ({ method }) => method ?? '-')).map(([m, all]) => `${m} ${all.length}`);
    assert.equal(records.length, sent, methods.join(', '));
  });
});
