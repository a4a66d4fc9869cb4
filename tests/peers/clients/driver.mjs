// Runs a plan against an MCP server and prints one JSON line per step, whatever SDK
// the client comes from:
//   {"op", "name"?, "ok", "result" | "error": {name, code, status, message, data}, "ms", "notifications"?}
// The plan is a JSON array, as the first argument or on standard input. Steps:
//   list | listResources | listTemplates | listPrompts | ping | sleep {ms}
//   call {name, args, meta?} | taskCall {name, args} (the Rust peer only: follows the task that may come of it) | progressCall {name, args} | cancelCall {name, args, after_ms}
//   spoil {token?} (replaces the access token of OAUTH) | read {uri} | prompt {name, args} | complete {ref, argument} | setLevel {level}
//   watch {lists: [tools | prompts | resources], uris} (wants to hear of changes from now on) | hear {method, uri?, count?} (waits until
//   it was told so) | parallel {steps: [...]} (one line per inner step, in order of completion)
// The last line is {"op": "http", "requests": [{method, rpc, id, status}]}: every HTTP
// request that the client sent, `status` missing when no answer arrived.
// Environment: GATEWAY_URL (the MCP endpoint), TOKEN, CAPABILITIES (JSON), ANSWERS (JSON: method
// of a server's question, `elicitation/url` for links -> result or {error}), TIMEOUT_MS.
// OAUTH (JSON): authorize by the SDK itself, see oauth.mjs; the plan is an argument then. LINKS=1: open the links
// that a tool asks for (url elicitation, -32042, a link to /connect/ in a text) and call again.
import { readFileSync } from 'node:fs';
import { LoopbackProvider, open } from './oauth.mjs';

const CANCEL_AFTER_MS = 300;
const HEAR_MS = 20;
const NOTIFICATIONS_KEPT_MAX = 200;
const AUTHORIZATIONS_MAX = 4;
const LINK_ROUNDS_MAX = 8;
const URL_ELICITATION_REQUIRED = -32042;
const CONNECT_LINK = /https?:\/\/[^\s"'<>)]+\/connect\/[^\s"'<>)]+/;

const requests = [];

/** The global fetch, noting every request. */
export async function countingFetch(url, init = {}) {
  const body = typeof init.body === 'string' && init.body.startsWith('{') ? JSON.parse(init.body) : {};
  const noted = { method: init.method ?? 'GET', path: new URL(url).pathname, rpc: body.method, id: body.id };
  requests.push(noted);
  const response = await fetch(url, init);
  noted.status = response.status;
  return response;
}

export function settings() {
  const url = process.env.GATEWAY_URL;
  if (!url) throw new Error('GATEWAY_URL is not set');
  return {
    url: new URL(url),
    headers: process.env.TOKEN ? { Authorization: `Bearer ${process.env.TOKEN}` } : {},
    capabilities: JSON.parse(process.env.CAPABILITIES ?? '{}'),
    answers: JSON.parse(process.env.ANSWERS ?? '{}'),
    timeout: Number(process.env.TIMEOUT_MS ?? '30000'),
    oauth: process.env.OAUTH && JSON.parse(process.env.OAUTH),
    links: process.env.LINKS === '1',
  };
}

/** Runs `work`; whenever the SDK wants an authorization, gets it and runs `work` again. */
export async function authorized(provider, finish, work) {
  for (let at = 0; ; at += 1) {
    try {
      return await work();
    } catch (error) {
      if (!provider || error.constructor.name !== 'UnauthorizedError' || at >= AUTHORIZATIONS_MAX) throw error;
      await finish(await provider.authorize());
    }
  }
}

/** The links that an outcome asks the user to open. */
function linksOf({ error, result }) {
  if (error?.code === URL_ELICITATION_REQUIRED) return (error.data?.elicitations ?? []).map(({ url }) => url);
  const texts = (result?.content ?? []).map(({ text }) => text ?? '').join('\n');
  const link = CONNECT_LINK.exec(texts);
  return link ? [link[0]] : [];
}

function describe(error) {
  const { name, code, message, data } = error;
  const status = error.status ?? data?.status;
  return { name, code, ...(status !== undefined && { status }), message, ...(data !== undefined && { data }) };
}

async function everyPage(list, key) {
  const items = [];
  let cursor;
  do {
    const page = await list(cursor === undefined ? undefined : { cursor });
    items.push(...page[key]);
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return { [key]: items };
}

/** Waits until a notification of `method` (about `uri`) was pushed, and takes it. */
async function hear({ method, uri }, pushed, { timeout }) {
  const until = performance.now() + timeout;
  for (;;) {
    const at = pushed.findIndex(one => one.method === method && (uri === undefined || one.params?.uri === uri));
    if (at >= 0) return pushed.splice(at, 1)[0];
    if (performance.now() > until) throw new Error(`never heard ${method} ${uri ?? ''}: ${JSON.stringify(pushed)}`);
    await new Promise(resolve => setTimeout(resolve, HEAR_MS));
  }
}

async function perform(client, step, options, pushed) {
  const call = extra => client.callTool({ name: step.name, arguments: step.args ?? {}, ...(step.meta && { _meta: step.meta }) }, { ...options, ...extra });
  switch (step.op) {
    case 'list':
      return { result: await everyPage(page => client.listTools(page, options), 'tools') };
    case 'listResources':
      return { result: await everyPage(page => client.listResources(page, options), 'resources') };
    case 'listTemplates':
      return { result: await everyPage(page => client.listResourceTemplates(page, options), 'resourceTemplates') };
    case 'listPrompts':
      return { result: await everyPage(page => client.listPrompts(page, options), 'prompts') };
    case 'call':
      return { result: await call({}) };
    case 'progressCall': {
      const notifications = [];
      const result = await call({ onprogress: progress => notifications.length < NOTIFICATIONS_KEPT_MAX && notifications.push(progress), resetTimeoutOnProgress: true });
      return { result, notifications };
    }
    case 'cancelCall': {
      const abort = new AbortController();
      setTimeout(() => abort.abort('no longer wanted'), step.after_ms ?? CANCEL_AFTER_MS);
      return { result: await call({ signal: abort.signal }) };
    }
    case 'read':
      return { result: await client.readResource({ uri: step.uri ?? step.name }, options) };
    case 'prompt':
      return { result: await client.getPrompt({ name: step.name, arguments: step.args ?? {} }, options) };
    case 'complete':
      return { result: await client.complete({ ref: step.ref, argument: step.argument }, options) };
    case 'spoil':
      // As if the access token had been revoked: the refresh token is all that is left.
      client.provider.saveTokens({ ...client.provider.tokens(), access_token: step.token ?? 'spoilt' });
      return { result: {} };
    case 'watch':
      return { result: await client.watch({ lists: step.lists ?? [], uris: step.uris ?? [] }, options) };
    case 'hear':
      return { result: await hear(step, pushed, options) };
    case 'ping':
      return { result: await client.ping(options) };
    case 'setLevel':
      return { result: await client.setLoggingLevel(step.level, options) };
    case 'sleep':
      return { result: await new Promise(resolve => setTimeout(() => resolve({}), step.ms)) };
    default:
      throw new Error(`unknown step: ${step.op}`);
  }
}

const print = line => process.stdout.write(`${JSON.stringify(line)}\n`);

async function runStep(client, step, options, pushed, round = 0) {
  if (step.op === 'parallel') {
    await Promise.all(step.steps.map(inner => runStep(client, inner, options, pushed)));
    return;
  }
  const started = performance.now();
  const head = { op: step.op, ...((step.name ?? step.uri) && { name: step.name ?? step.uri }) };
  let outcome;
  try {
    outcome = { ok: true, ...(await client.authorized(() => perform(client, step, { ...options, ...(step.timeout_ms && { timeout: step.timeout_ms }) }, pushed))) };
  } catch (error) {
    outcome = { ok: false, error: describe(error) };
  }
  const links = client.links ? linksOf(outcome) : [];
  if (links.length > 0 && round < LINK_ROUNDS_MAX) {
    for (const link of links) await open(link, 'connect');
    await runStep(client, step, options, pushed, round + 1);
    return;
  }
  // What is waited for later stays.
  const kept = client.watching ? pushed.filter(({ id }) => id === undefined) : [];
  const notifications = [...(outcome.notifications ?? []), ...pushed.splice(0).filter(one => !kept.includes(one))];
  pushed.push(...kept);
  print({ ...head, ...outcome, ms: Math.round(performance.now() - started), notifications });
}

/** Answers questions as ANSWERS says, and notes them. `on(method, answer)` installs a handler of the SDK. */
export function answering(answers, onNotification, on) {
  const methods = new Set(Object.keys(answers).map(key => (key === 'elicitation/url' ? 'elicitation/create' : key)));
  for (const method of methods) {
    on(method, (params, id) => {
      onNotification({ method, params, id: id ?? 'none' });
      const answer = answers[params?.mode === 'url' ? 'elicitation/url' : method] ?? { action: 'decline' };
      if (answer.error) throw Object.assign(new Error(answer.error.message), { code: answer.error.code });
      return answer;
    });
  }
}

/** Connects with `connect(settings, onNotification)` and runs the plan. */
export async function run(connect) {
  const plan = JSON.parse(process.argv[2] ?? readFileSync(0, 'utf8'));
  const wanted = settings();
  if (wanted.oauth) wanted.provider = await LoopbackProvider.create(wanted.oauth);
  const pushed = [];
  const started = performance.now();
  let client;
  try {
    client = await connect(wanted, notification => {
      if (pushed.length < NOTIFICATIONS_KEPT_MAX) pushed.push(notification);
    });
  } catch (error) {
    print({ op: 'connect', ok: false, error: describe(error), ms: Math.round(performance.now() - started) });
    await end();
  }
  print({
    op: 'connect',
    ok: true,
    result: {
      server: client.getServerVersion(),
      capabilities: client.getServerCapabilities(),
      instructions: client.getInstructions(),
      version: client.negotiated(),
    },
    ...(wanted.provider && { tokens: wanted.provider.saved.length }),
    ms: Math.round(performance.now() - started),
  });
  Object.assign(client, { links: wanted.links, provider: wanted.provider });
  for (const step of plan) await runStep(client, step, { timeout: wanted.timeout }, pushed);
  if (wanted.provider) print({ op: 'tokens', ok: true, tokens: wanted.provider.saved, client: wanted.provider.clientInformation() });
  await client.finish();
  await end();
}

/** Prints the last line and exits once it is written: standard output may be a pipe. */
async function end() {
  await new Promise(resolve => process.stdout.write(`${JSON.stringify({ op: 'http', ok: true, requests })}\n`, resolve));
  process.exit(0);
}
