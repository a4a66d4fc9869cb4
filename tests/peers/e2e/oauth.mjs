// What the identity tests share: a gateway in front of a recording upstream, and a raw caller.
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { Browser } from '../browserless.mjs';
import { clientToken, keep } from '../canary.mjs';
import { freePort, peer, startGateway, startServer } from '../harness.mjs';

export const GROUPS = { alice: ['eng'], bob: ['eng'], mallory: [] };

/** The authorization servers under test: how to start them, and where their endpoints are. */
export const SERVERS = {
  'oidc-provider': {
    algorithms: ['ES256', 'RS256', 'EdDSA'],
    start: ({ port, ...settings }) =>
      startServer('fixtures/as-oidc.mjs', {
        env: { AS: JSON.stringify({ groups: GROUPS, ...settings }), ...(port && { PORT: String(port) }) },
      }),
    jwks: '/jwks',
    register: '/reg',
    token: '/token',
    introspection: '/token/introspection',
    revocation: '/token/revocation',
    cimd: true,
  },
  authlib: {
    algorithms: ['RS256', 'ES256'],
    start: ({ port, ...settings }) =>
      startServer('fixtures/as_authlib.py', {
        command: peer('.venv/bin/python'),
        env: { AS: JSON.stringify({ groups: GROUPS, ...settings }), ...(port && { PORT: String(port) }) },
      }),
    jwks: '/keys',
    register: '/register',
    token: '/token',
    introspection: '/introspect',
    revocation: '/revoke',
    cimd: false,
  },
};

const RAW_REDIRECT = 'http://127.0.0.1:9/callback';

/**
 * The answer of the token endpoint of `as` to a code for `resource`, by a client registered here
 * ({..., client_id}). `proof(url)` makes the DPoP proof of the token request; with `pages` the pages of
 * oidc-provider are filled in, with `exchange` the client may exchange what it gets.
 */
export async function tokenFor(as, server, { resource, scope = 'mcp:read mcp:write', account = 'alice', proof, pages, exchange } = {}) {
  const registration = await fetch(`${as.origin}${server.register}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      client_name: 'raw',
      redirect_uris: [RAW_REDIRECT],
      grant_types: ['authorization_code', ...(exchange ? ['urn:ietf:params:oauth:grant-type:token-exchange'] : [])],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
      application_type: 'native',
    }),
  });
  const { client_id: client } = await registration.json();
  const metadata = await (await fetch(`${as.origin}/.well-known/oauth-authorization-server`)).json();
  const verifier = randomBytes(32).toString('base64url');
  const url = new URL(metadata.authorization_endpoint);
  const query = {
    response_type: 'code',
    client_id: client,
    redirect_uri: RAW_REDIRECT,
    scope,
    state: 's',
    login_hint: account,
    resource,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
  };
  for (const [key, value] of Object.entries(query)) if (value) url.searchParams.set(key, value);
  const browser = new Browser();
  const wanted = location => location.startsWith(RAW_REDIRECT);
  const back = pages ? await throughPages(browser, url, account, wanted) : await browser.until(url, wanted);
  const answer = await fetch(metadata.token_endpoint, {
    method: 'POST',
    headers: proof ? { dpop: await proof(metadata.token_endpoint) } : {},
    body: new URLSearchParams({
      grant_type: 'authorization_code',
      code: new URL(back).searchParams.get('code'),
      redirect_uri: RAW_REDIRECT,
      client_id: client,
      code_verifier: verifier,
      ...(resource && { resource }),
    }),
  });
  const tokens = await answer.json();
  clientToken(tokens.access_token);
  if (!tokens.access_token) throw new Error(`no token: ${JSON.stringify(tokens)}`);
  return { ...tokens, client_id: client };
}

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
export async function startGuarded({ issuers, identity = {}, config = {}, upstream = {}, route = {}, port, env, policies: own = policies }) {
  const strict = await startServer('fixtures/strict-2026.mjs');
  try {
    const gateway = await startGateway({
      port: port ?? (await freePort()),
      env,
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

const ANSWER_MS = 30_000;
const agent = new Agent({ keepAlive: true, maxSockets: 32 });
let last = 0;

/** One raw 2026-07-28 request: {status, headers, text, json}. `token` goes out as `scheme`. */
export function rpc(gateway, method, params = {}, { token, scheme = 'Bearer', headers = {}, route = '/mcp', tls = {} } = {}) {
  last += 1;
  clientToken(token);
  const body = JSON.stringify({ jsonrpc: '2.0', id: last, method, params: { _meta: META, ...params } });
  return new Promise((resolve, reject) => {
    const req = request(
      `${gateway.base}${route}`,
      {
        method: 'POST',
        ca: tls.ca ?? readFileSync(gateway.ca),
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
        res.on('end', () => {
          keep('client', method, JSON.stringify([res.headers, text]));
          resolve({ status: res.statusCode, headers: res.headers, text, json: parsed(text) });
        });
      },
    );
    req.setTimeout(ANSWER_MS, () => req.destroy(new Error(`no answer to ${method} within ${ANSWER_MS} ms`)));
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

/** Fills in sign-in and consent pages until a redirect to a wanted place. */
async function throughPages(browser, url, login, wanted) {
  let page = await browser.open(url, wanted);
  for (let at = 0; at < 4 && !wanted(page.headers.location ?? ''); at += 1) {
    page = await browser.submit(page, { fill: { login, password: 'any' }, stop: wanted });
  }
  return page.headers.location;
}

/** The protected resource metadata of the route /mcp. */
export async function resourceMetadata(gateway) {
  const answer = await new Browser({ ca: [gateway.ca] }).request(`${gateway.base}/.well-known/oauth-protected-resource/mcp`);
  return JSON.parse(answer.text);
}
