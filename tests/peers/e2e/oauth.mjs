// What the identity tests share: a gateway in front of a recording upstream, and a raw caller.
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { freePort, startGateway, startServer } from '../harness.mjs';

export const policies = {
  groups: { engineering: { claim: 'groups', any_of: ['eng'] } },
  tools: [
    { match: ['strict__echo', 'strict__add', 'strict__region'], class: 'read' },
    { match: ['strict__write_note'], class: 'write' },
  ],
  rules: [
    { id: 'read', effect: 'allow', principals: ['group:engineering'], tools: ['strict__echo'], classes: ['read'] },
    { id: 'add', effect: 'allow', principals: ['group:engineering'], tools: ['strict__add'], classes: ['read'], require: { scope: 'mcp:write' } },
    { id: 'write', effect: 'allow', principals: ['group:engineering'], tools: ['strict__write_note'], classes: ['write'], require: { scope: 'mcp:write' } },
  ],
};

/** A gateway whose route /mcp shows the recording upstream `strict`; `issuers` are its identity.issuers. */
export async function startGuarded({ issuers, identity = {}, config = {}, upstream = {}, route = {}, port, policies: own = policies }) {
  const strict = await startServer('fixtures/strict-2026.mjs');
  try {
    const gateway = await startGateway({
      port: port ?? (await freePort()),
      config: {
        identity: { issuers, ...identity },
        routes: [{ path: '/mcp', upstreams: ['strict'], scopes: ['mcp:read'], ...route }],
        upstreams: [{ name: 'strict', http: { url: strict.url }, ...upstream }],
        ...config,
      },
      policies: own,
    });
    return {
      gateway,
      strict,
      stop: async () => {
        await gateway.stop();
        await strict.stop();
      },
    };
  } catch (error) {
    await strict.stop();
    throw error;
  }
}

export const META = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientCapabilities': {},
};

const agent = new Agent({ keepAlive: true, maxSockets: 32 });
let last = 0;

/** One raw 2026-07-28 request: {status, headers, text, json}. `token` goes out as `scheme`. */
export function rpc(gateway, method, params = {}, { token, scheme = 'Bearer', headers = {}, route = '/mcp', tls = {} } = {}) {
  last += 1;
  const body = JSON.stringify({ jsonrpc: '2.0', id: last, method, params: { _meta: META, ...params } });
  return new Promise((resolve, reject) => {
    const req = request(
      `${gateway.base}${route}`,
      {
        method: 'POST',
        ca: readFileSync(gateway.ca),
        agent: tls.cert ? false : agent,
        ...tls,
        headers: {
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
          'content-length': Buffer.byteLength(body),
          'mcp-protocol-version': '2026-07-28',
          'mcp-method': method,
          ...(params.name && { 'mcp-name': params.name }),
          ...(token && { authorization: `${scheme} ${token}` }),
          ...headers,
        },
      },
      res => {
        let text = '';
        res.setEncoding('utf8').on('data', part => {
          text += part;
        });
        res.on('error', reject);
        res.on('end', () => resolve({ status: res.statusCode, headers: res.headers, text, json: parsed(text) }));
      },
    );
    req.on('error', reject);
    req.end(body);
  });
}

function parsed(text) {
  const data = text.startsWith('{') ? text : /^data: (\{.*)$/m.exec(text)?.[1];
  try {
    return data && JSON.parse(data);
  } catch {
    return undefined;
  }
}

export const echo = (gateway, options) => rpc(gateway, 'tools/call', { name: 'strict__echo', arguments: { message: 'hi' } }, options);
