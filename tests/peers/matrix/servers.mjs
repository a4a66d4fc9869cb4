// The servers of the matrix: how each is started, and per feature the steps of a client and what must come of them.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RUST_PEER, peer, python, startServer } from '../harness.mjs';

/** Columns of the table, in order. */
export const FEATURES = {
  call: 'call',
  form: 'elicitation form',
  url: 'elicitation url',
  sampling: 'sampling',
  progress: 'progress',
  cancel: 'cancel',
  lists: 'list_changed',
  subscribe: 'subscribe',
  completion: 'completion',
};

const LINK = 'https://example.com/sign-in';
const PERSON = 'Ada of the matrix';
const CANCEL_SEEN_MS = 2000;

/** What every client answers when it is asked. */
export const clientEnv = {
  CAPABILITIES: JSON.stringify({ elicitation: { form: {}, url: {} }, sampling: {} }),
  ANSWERS: JSON.stringify({
    'elicitation/create': { action: 'accept', content: { name: PERSON, username: PERSON, email: 'ada@example.com' } },
    'elicitation/url': { action: 'accept' },
    'sampling/createMessage': { role: 'assistant', model: 'm-1', content: { type: 'text', text: 'a sampled answer' } },
  }),
  TIMEOUT_MS: '10000',
};

const call = (name, args = {}) => ({ op: 'call', name, args });
const textOf = line => (line.result?.content ?? []).map(({ text }) => text ?? '').join('\n');
const said = pattern => lines => {
  const line = lines.at(-1);
  return line.ok && line.result.isError !== true && pattern.test(textOf(line));
};
const asked = (lines, method) => lines.some(({ notifications = [] }) => notifications.some(one => one.method === method));
/** The person was asked, and what came of the answer is in the result. */
const answered = (pattern, method = 'elicitation/create') => lines => said(pattern)(lines) && asked(lines, method);
const progressed = lines => {
  const { ok, notifications = [] } = lines.at(-1);
  const values = notifications.map(({ progress }) => progress).filter(value => value !== undefined);
  // The 1.x client may drop the last notification when it comes with the result.
  return ok && values.length >= 2 && values.every((value, at) => at === 0 || value > values[at - 1]);
};
const allOk = lines => lines.every(({ ok, result }) => ok && result?.isError !== true);

/** The features of the servers that we write on SDKs: the same tools on each. */
const ours = prefix => {
  const tool = name => `${prefix}__test_${name}`;
  const uri = `${prefix}+test://watched-resource`;
  return {
    call: { steps: [call(tool('simple_text'))], works: said(/simple text/) },
    form: { steps: [call(tool('elicitation'), { message: 'Who are you?' })], works: answered(new RegExp(PERSON)) },
    url: { steps: [call(tool('elicitation_url'))], works: answered(/Link: accept/) },
    sampling: { steps: [call(tool('sampling'), { prompt: 'Say something' })], works: answered(/a sampled answer/, 'sampling/createMessage') },
    progress: { steps: [{ op: 'progressCall', name: tool('tool_with_progress'), args: {} }], works: progressed },
    cancel: {
      steps: [
        call(tool('cancelled_count')),
        { op: 'cancelCall', name: tool('slow'), args: { steps: 100, delay_ms: 100 }, after_ms: 500 },
        { op: 'sleep', ms: CANCEL_SEEN_MS },
        call(tool('cancelled_count')),
      ],
      works: ([before, cancelled, , after]) => !cancelled.ok && Number(textOf(after)) === Number(textOf(before)) + 1,
    },
    lists: {
      steps: [{ op: 'watch', lists: ['tools'] }, call(tool('trigger_tool_change')), { op: 'hear', method: 'notifications/tools/list_changed' }],
      works: allOk,
    },
    subscribe: {
      steps: [
        { op: 'watch', uris: [uri] },
        call(tool('touch_resource'), { uri: 'test://watched-resource' }),
        { op: 'hear', method: 'notifications/resources/updated', uri },
      ],
      works: allOk,
    },
    completion: {
      steps: [
        { op: 'complete', ref: { type: 'ref/prompt', name: tool('prompt_with_arguments') }, argument: { name: 'arg1', value: 'par' } },
      ],
      works: ([{ ok, result }]) => ok && result.completion.values.includes('paris'),
    },
  };
};

const everything = (prefix, told) => {
  const tool = name => `${prefix}__${name}`;
  const uri = `${prefix}+demo://resource/dynamic/text/1`;
  const long = (duration, steps) => ({ name: tool('trigger-long-running-operation'), args: { duration, steps } });
  const cancels = () => told().split('"notifications/cancelled"').length - 1;
  return {
    call: { steps: [call(tool('echo'), { message: 'over the gateway' })], works: said(/over the gateway/) },
    form: { steps: [call(tool('trigger-elicitation-request'))], works: answered(new RegExp(PERSON)) },
    url: { steps: [call(tool('trigger-url-elicitation'), { url: LINK })], works: answered(/completed the URL/) },
    sampling: {
      steps: [call(tool('trigger-sampling-request'), { prompt: 'Say something', maxTokens: 10 })],
      works: answered(/a sampled answer/, 'sampling/createMessage'),
    },
    progress: { steps: [{ op: 'progressCall', ...long(1, 4) }], works: progressed },
    cancel: {
      before: cancels,
      steps: [{ op: 'cancelCall', ...long(20, 20), after_ms: 500 }, { op: 'sleep', ms: CANCEL_SEEN_MS }],
      works: ([cancelled], before) => !cancelled.ok && cancels() === before + 1,
    },
    lists: {
      steps: [
        { op: 'watch', lists: ['resources'] },
        call(tool('gzip-file-as-resource'), { name: 'note.gz', data: 'data:text/plain,hello', outputType: 'resourceLink' }),
        { op: 'hear', method: 'notifications/resources/list_changed' },
      ],
      works: allOk,
    },
    subscribe: {
      steps: [
        { op: 'watch', uris: [uri] },
        call(tool('toggle-subscriber-updates')),
        { op: 'hear', method: 'notifications/resources/updated', uri },
        call(tool('toggle-subscriber-updates')),
      ],
      works: allOk,
    },
    completion: {
      steps: [
        { op: 'complete', ref: { type: 'ref/prompt', name: tool('completable-prompt') }, argument: { name: 'department', value: 'E' } },
      ],
      works: ([{ ok, result }]) => ok && result.completion.values.includes('Engineering'),
    },
  };
};

const time = prefix => ({
  call: {
    steps: [call(`${prefix}__convert_time`, { source_timezone: 'UTC', time: '12:00', target_timezone: 'Asia/Tokyo' })],
    works: said(/Tokyo/),
  },
});

/** A stdio upstream, whose input is kept in `file`. */
const stdio = (name, file, command, args = []) => ({
  name,
  stdio: { command: process.execPath, args: [peer('fixtures/tee.mjs'), file, command, ...args], danger_unsandboxed: true },
});

/** Name: title, and `start()` -> {upstream, features, stop}. */
export const SERVERS = {
  ts1: { title: 'TypeScript 1.x (2025-11-25, HTTP)', start: () => fixture('ts1', 'fixtures/fixture-2025.mjs') },
  ts2: { title: 'TypeScript 2.x (2026-07-28, HTTP)', start: () => fixture('ts2', 'fixtures/fixture-2026.mjs') },
  // That SDK never says that resources can be subscribed to.
  python1: { title: 'Python 1.x (2025-11-25, HTTP)', start: () => fixture('python1', 'python/server1.py', python(1), ['subscribe']) },
  python2: { title: 'Python 2.x (2026-07-28, HTTP)', start: () => fixture('python2', 'python/server2.py', python(2)) },
  rust: { title: 'Rust (2026-07-28, stdio)', start: () => spawned('rust', ours, RUST_PEER, ['server']) },
  everything: {
    title: 'server-everything (2025-11-25, stdio)',
    start: () => {
      const script = peer('node_modules/@modelcontextprotocol/server-everything/dist/index.js');
      return spawned('everything', everything, process.execPath, [script, 'stdio']);
    },
  },
  time: { title: 'mcp-server-time (2026-07-28, stdio)', start: () => spawned('time', time, peer('.venv/bin/mcp-server-time')) },
};

async function fixture(name, script, options, lacking = []) {
  const server = await startServer(script, options);
  const features = Object.fromEntries(Object.entries(ours(name)).filter(([feature]) => !lacking.includes(feature)));
  return { upstream: { name, http: { url: server.url } }, features, stop: server.stop };
}

async function spawned(name, features, command, args) {
  const dir = mkdtempSync(join(tmpdir(), 'portcullis-matrix-'));
  const file = join(dir, 'told');
  const told = () => (existsSync(file) ? readFileSync(file, 'utf8') : '');
  return { upstream: stdio(name, file, command, args), features: features(name, told), stop: async () => rmSync(dir, { recursive: true }) };
}
