// The process: ready line, health, refusals at the door, the end.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import { after, before, describe, test } from 'node:test';
import { BINARY, requestRecords, startGateway, startServer } from '../harness.mjs';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const policies = { rules: [{ id: 'all', effect: 'allow', principals: ['any'], tools: ['*'], classes: ['read'] }] };
const PING = { jsonrpc: '2.0', id: 1, method: 'ping' };
const INITIALIZE = {
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'raw', version: '1' } },
};

describe('the process', () => {
  let upstream;
  let gateway;
  let token;
  before(async () => {
    upstream = await startServer('fixtures/misbehave.mjs');
    const upstreams = [{ name: 'recorder', http: { url: upstream.url } }];
    gateway = await startGateway({ config: { upstreams, routes: [{ path: '/mcp', upstreams: ['recorder'] }] }, policies });
    token = await gateway.token({ sub: 'alice', groups: ['eng'] });
  });
  after(async () => {
    await gateway?.stop();
    await upstream?.stop();
  });

  const post = (body, headers = {}) =>
    new Promise((resolve, reject) => {
      const text = typeof body === 'string' ? body : JSON.stringify(body);
      const req = request(`${gateway.base}/mcp`, {
        method: 'POST',
        // Or the Host header below would name the server in the TLS handshake too.
        servername: '',
        ca: readFileSync(gateway.ca),
        headers: {
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
          'content-length': Buffer.byteLength(text),
          ...headers,
        },
      });
      req.on('error', reject);
      req.on('response', res => {
        let data = '';
        res.setEncoding('utf8').on('data', part => {
          data += part;
        });
        res.on('end', () => resolve({ status: res.statusCode, headers: res.headers, text: data }));
      });
      req.end(text);
    });

  test('prints the ready line first, with bound addresses', () => {
    assert.match(gateway.firstLine, /^portcullis ready mcp=https:\/\/127\.0\.0\.1:\d+ admin=https?:\/\/127\.0\.0\.1:\d+$/);
    assert.doesNotMatch(gateway.firstLine, /:0\b/);
  });

  test('answers health on the admin listener', async () => {
    for (const path of ['/healthz', '/readyz', '/metrics']) {
      const { status } = await fetchAny(gateway, path);
      assert.equal(status, 200, path);
    }
  });

  test('challenges a request without a token', async () => {
    const { status, headers } = await post(INITIALIZE);
    assert.equal(status, 401);
    assert.match(headers['www-authenticate'], /^Bearer .*resource_metadata="https:\/\/127\.0\.0\.1:\d+\/\.well-known\/oauth-protected-resource/);
  });

  const authorized = () => ({ authorization: `Bearer ${token}` });
  const refusals = [
    ['a foreign Origin', INITIALIZE, { origin: 'https://evil.example' }, [403]],
    ['a foreign Host', INITIALIZE, { host: 'evil.example' }, [403, 421]],
    ['a broken token', INITIALIZE, { authorization: 'Bearer nonsense' }, [401]],
    ['duplicate keys', '{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}', {}, [400]],
    ['two documents', `${JSON.stringify(PING)}${JSON.stringify(PING)}`, {}, [400]],
    ['a wrong content type', INITIALIZE, { 'content-type': 'text/plain' }, [415]],
  ];
  for (const [name, body, headers, statuses] of refusals) {
    test(`refuses ${name} before anything reaches an upstream`, async () => {
      await upstream.reset();
      const answer = await post(body, { ...authorized(), ...headers });
      assert.ok(statuses.includes(answer.status), `${answer.status} ${answer.text}`);
      assert.equal((await upstream.seen()).count, 0);
    });
  }

  test('writes one record for each of these requests', async () => {
    const records = requestRecords(await gateway.settledRecords(1 + refusals.length));
    assert.equal(records.length, 1 + refusals.length, JSON.stringify(records, null, 1));
    assert.equal(new Set(records.map(({ id }) => id)).size, records.length);
  });

  test('never writes a token to its log or its records', async () => {
    const audit = JSON.stringify(gateway.records());
    for (const text of [gateway.log(), audit]) assert.ok(!text.includes(token.slice(-20)));
  });

  test('ends with 0 on SIGTERM', async () => {
    assert.deepEqual(await gateway.end('SIGTERM'), { code: 0, signal: null }, gateway.log());
  });
});

describe('start', () => {
  test('takes port 0 and says what it bound', async () => {
    const upstream = await startServer('fixtures/misbehave.mjs');
    const upstreams = [{ name: 'recorder', http: { url: upstream.url } }];
    const config = { upstreams, routes: [{ path: '/mcp', upstreams: ['recorder'] }] };
    const gateway = await startGateway({ config, policies, port: 0 });
    try {
      assert.match(gateway.base, /^https:\/\/127\.0\.0\.1:[1-9]\d*$/);
    } finally {
      await gateway.stop();
      await upstream.stop();
    }
  });

  test('comes up while an upstream is down', async () => {
    const upstreams = [{ name: 'gone', http: { url: 'http://127.0.0.1:9/mcp' } }];
    const gateway = await startGateway({ config: { upstreams, routes: [{ path: '/mcp', upstreams: ['gone'] }] }, policies });
    assert.equal((await gateway.stop()).code, 0);
  });

  test('refuses an empty config, exit 2', async () => {
    const run = promisify(execFile)(BINARY, ['check', '--config', '/dev/null']);
    await assert.rejects(run, ({ code }) => code === 2);
  });
});

/** The admin listener may be plain on loopback; trusts the CA of the gateway when it is not. */
async function fetchAny(gateway, path) {
  const url = new URL(path, gateway.admin);
  if (url.protocol === 'http:') return fetch(url);
  return new Promise((resolve, reject) => {
    request(url, { ca: readFileSync(gateway.ca) }, res => {
      res.resume();
      resolve({ status: res.statusCode });
    })
      .on('error', reject)
      .end();
  });
}
