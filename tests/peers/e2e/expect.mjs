// What the tests of all clients share: finding steps and reading denials.
import assert from 'node:assert/strict';

export const DENIAL = 'dev.portcullis/denial';
/** Revisions that a client of the given name is expected to speak with the gateway. */
export const REVISION = { ts1: '2025-11-25', ts2: '2026-07-28', 'ts2-legacy': '2025-11-25' };

const show = line => JSON.stringify(line)?.slice(0, 1500);

/** The lines of a plan without the first (connect) and the last (http). */
export function stepsOf(lines) {
  assert.equal(lines[0].op, 'connect', show(lines[0]));
  assert.ok(lines[0].ok, show(lines[0]));
  return lines.slice(1, -1);
}

/** The `nth` line of `op` on `name`. */
export function line(lines, op, name, nth = 0) {
  const found = lines.filter(entry => entry.op === op && (name === undefined || entry.name === name))[nth];
  assert.ok(found, `no line ${op} ${name ?? ''}`);
  return found;
}

/** The result of a step that must have worked. */
export function worked(entry) {
  assert.ok(entry.ok && entry.result.isError !== true, show(entry));
  return entry.result;
}

/** The text of a tool call that must have worked. */
export const said = entry => worked(entry).content.map(({ text }) => text ?? '').join('\n');

/** The denial of a tool call that was refused in band; checks its shape. */
export function denial(entry) {
  assert.ok(entry.ok, `refusal is a result: ${show(entry)}`);
  assert.equal(entry.result.isError, true, show(entry));
  const found = entry.result._meta?.[DENIAL];
  assert.ok(found, `no denial in _meta: ${show(entry)}`);
  assert.equal(typeof found.record, 'string', show(entry));
  assert.equal(entry.result.content.length, 1, 'one plain sentence');
  assert.match(entry.result.content[0].text, /\S+ \S+/, 'one plain sentence');
  return found;
}

/** The JSON-RPC error of a step that must have failed with `code`. */
export function failed(entry, code) {
  assert.equal(entry.ok, false, show(entry));
  assert.equal(entry.error.code, code, show(entry));
  return entry.error;
}

/** How many HTTP requests a client sent. */
export const requestCount = lines => lines.at(-1).requests.length;
