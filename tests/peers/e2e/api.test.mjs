// The admin API against its own description: schemathesis makes requests that fit the OpenAPI document, and many that do not, and
// looks whether every answer is one that the document names.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { peer } from '../harness.mjs';
import { startDesk } from './desk.mjs';

const EXAMPLES = process.env.SCHEMATHESIS_EXAMPLES ?? '40';
const CHECKS = [
  'not_a_server_error',
  'status_code_conformance',
  'content_type_conformance',
  'response_headers_conformance',
  'response_schema_conformance',
  'negative_data_rejection',
  'missing_required_header',
  'unsupported_method',
  'ignored_auth',
].join(',');

const run = (command, args) =>
  new Promise(done => {
    execFile(command, args, { maxBuffer: 64 * 1024 * 1024, timeout: 600_000 }, (error, stdout, stderr) => done({ code: error?.code ?? 0, text: stdout + stderr }));
  });

describe('the admin API', () => {
  let desk;
  let dir;
  before(async () => {
    desk = await startDesk();
    dir = mkdtempSync(join(tmpdir(), 'portcullis-api-'));
    for (let n = 0; n < 3; n += 1) await desk.ask('alice', 'strict__write_note', { id: `n${n}`, body: 'x' });
    await desk.call('alice', 'strict__echo', { message: 'hi' });
  });
  after(async () => {
    if (dir) rmSync(dir, { recursive: true, force: true });
    await desk?.stop();
  });

  const get = async (account, path) => {
    const answer = await fetch(`${desk.admin}${path}`, { headers: { authorization: `Bearer ${await desk.apiToken(account)}` } });
    return { status: answer.status, json: await answer.json() };
  };

  test('the document is given to whoever may look, and to nobody else', async () => {
    assert.equal((await fetch(`${desk.admin}/api/v1/openapi.json`)).status, 401);
    assert.equal((await get('mallory', '/api/v1/openapi.json')).status, 403);
    const { status, json } = await get('vera', '/api/v1/openapi.json');
    assert.equal(status, 200);
    assert.equal(json.openapi, '3.1.0');
    for (const path of ['approvals', 'events', 'tools', 'upstreams', 'policy', 'audit']) assert.ok(json.paths[`/api/v1/${path}`], path);
  });

  // Answers of an operator, of an approver whom rules name, and of somebody who may only look.
  for (const account of ['olga', 'sam', 'vera']) {
    test(`schemathesis finds no 5xx and nothing undocumented, as ${account}`, async () => {
      const { json } = await get(account, '/api/v1/openapi.json');
      const file = join(dir, 'openapi.json');
      writeFileSync(file, JSON.stringify(json));
      const { code, text } = await run(peer('.venv/bin/schemathesis'), [
        'run', file, '--url', desk.admin, '--header', `Authorization: Bearer ${await desk.apiToken(account)}`,
        '--checks', CHECKS, '--max-examples', EXAMPLES, '--mode', 'all', '--phases', 'examples,coverage,fuzzing', '--seed', '7', '--no-color',
      ]);
      assert.equal(code, 0, text.slice(-6000));
      assert.equal((await get(account, '/api/v1/audit')).json.healthy, true);
    });
  }
});
