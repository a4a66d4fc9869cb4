// Looks for pieces of tokens where they must not be. While CANARY_DIR is set, the harness keeps
// there every token that clients send and everything that is written: logs, records, state, metrics,
// traces, what upstreams and authorization servers received, what clients were told. `search` then wants
//   no piece of a client token     in a log, record, state file, metric or trace, nor at an upstream;
//   no piece of an upstream token  in any of these, nor at a client.
// A piece is 12 bytes of what is random in a token: its signature, its claim `canary`, all of an opaque one.
import { appendFileSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PIECE = 12;
const FINDINGS_MAX = 50;
const SHORT_MAX = 20;
const LETTERS_MIN = 5;
const SIDES = ['gateway', 'upstream', 'server', 'client'];

export const keeping = () => process.env.CANARY_DIR;

let kept = 0;

/** Keeps `text` (or bytes) as something that was seen at a side: gateway, upstream, server or client. */
export function keep(side, name, text) {
  if (!keeping()) return;
  if (!SIDES.includes(side)) throw new Error(`no such side: ${side}`);
  const dir = join(keeping(), side);
  mkdirSync(dir, { recursive: true });
  kept += 1;
  writeFileSync(join(dir, `${process.pid}-${kept}-${name.replace(/[^\w.-]/g, '_')}`), text);
}

/** A place that grows: what is appended is kept as it comes. */
export function growing(side, name) {
  if (!keeping()) return () => {};
  const dir = join(keeping(), side);
  mkdirSync(dir, { recursive: true });
  kept += 1;
  const file = join(dir, `${process.pid}-${kept}-${name.replace(/[^\w.-]/g, '_')}`);
  return text => appendFileSync(file, text);
}

/** Notes a token that a client holds. */
export function clientToken(token) {
  if (keeping() && typeof token === 'string' && token.length > SHORT_MAX) appendFileSync(join(keeping(), `client-tokens-${process.pid}`), `${token}\n`);
}

/** Every window of a text that is not just a few letters over and over. */
function* windows(text) {
  for (let at = 0; at + PIECE <= text.length; at += 1) {
    const window = text.slice(at, at + PIECE);
    if (new Set(window).size >= LETTERS_MIN) yield window;
  }
}

/** The random pieces of a token. */
export function* piecesOf(token) {
  const parts = token.split('.');
  if (parts.length !== 3) {
    yield* windows(token);
    return;
  }
  yield* windows(parts[2]);
  let canary;
  try {
    ({ canary } = JSON.parse(Buffer.from(parts[1], 'base64url').toString()));
  } catch {
    return;
  }
  if (typeof canary !== 'string') return;
  yield* windows(canary);
  for (let at = 0; at + PIECE <= parts[1].length; at += 4) {
    const piece = parts[1].slice(at, at + PIECE);
    if (canary.includes(Buffer.from(piece, 'base64url').toString('latin1'))) yield piece;
  }
}

const pieces = tokens => {
  const all = new Map();
  for (const token of tokens) for (const piece of piecesOf(token)) all.set(piece, token);
  return all;
};

function* filesOf(dir, side) {
  let names = [];
  try {
    names = readdirSync(join(dir, side));
  } catch {
    // Nothing was kept of this side.
  }
  for (const name of names) yield { name: `${side}/${name}`, text: readFileSync(join(dir, side, name), 'latin1') };
}

/** What upstreams were shown: tokens of ours, unless a client's token was forwarded. */
function upstreamTokens(dir) {
  const found = new Set();
  for (const { text } of filesOf(dir, 'upstream')) {
    for (const [, token] of text.matchAll(/"authorization":\s*"(?:Bearer|DPoP) ([^"\s]+)"/gi)) if (token.length > SHORT_MAX) found.add(token);
  }
  return found;
}

/** {tokens: {client, upstream}, bytes, findings: [{file, kind, piece, near}]} */
export function search(dir) {
  const client = new Set(
    readdirSync(dir)
      .filter(name => name.startsWith('client-tokens-'))
      .flatMap(name => readFileSync(join(dir, name), 'utf8').split('\n').filter(Boolean)),
  );
  const upstream = upstreamTokens(dir);
  const ofClients = pieces(client);
  const ofUpstreams = pieces([...upstream].filter(token => !client.has(token)));
  const rules = [
    { side: 'gateway', wanted: [['client token', ofClients], ['upstream token', ofUpstreams]] },
    { side: 'upstream', wanted: [['client token', ofClients]] },
    { side: 'client', wanted: [['upstream token', ofUpstreams]] },
  ];
  const findings = [];
  let bytes = 0;
  for (const { side, wanted } of rules) {
    for (const { name, text } of filesOf(dir, side)) {
      bytes += text.length;
      for (const [kind, set] of wanted) findings.push(...found(name, text, kind, set));
    }
  }
  return { tokens: { client: client.size, upstream: upstream.size }, bytes, findings: findings.slice(0, FINDINGS_MAX) };
}

/** The first piece of each run of token characters that is one of `set`. */
function* found(file, text, kind, set) {
  if (set.size === 0) return;
  for (const { 0: run, index } of text.matchAll(/[A-Za-z0-9_-]{12,}/g)) {
    for (let at = 0; at + PIECE <= run.length; at += 1) {
      const piece = run.slice(at, at + PIECE);
      if (!set.has(piece)) continue;
      yield { file, kind, piece, near: text.slice(Math.max(0, index - 80), index + 80) };
      break;
    }
  }
}

/** Prints what was found; true when nothing was. */
export function report(dir) {
  const { tokens, bytes, findings } = search(dir);
  console.log(`canaries: ${tokens.client} client tokens and ${tokens.upstream} upstream tokens, looked for in ${Math.round(bytes / 1024)} KiB: ${findings.length} found`);
  for (const { file, kind, piece, near } of findings) console.log(`  LEAK ${kind} (${piece}) in ${file}: ${JSON.stringify(near)}`);
  return findings.length === 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exit(report(process.argv[2]) ? 0 : 1);
