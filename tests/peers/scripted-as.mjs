// An authorization server and OpenID provider inside the test process that does what it is told:
// mints any token, approves everybody at once, counts what is fetched, and breaks on request.
//   mode: ok | down (connections are cut) | garbage | hang | redirect | empty | symmetric | huge | error
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import * as jose from 'jose';

const HUGE_BYTES = 8 * 1024 * 1024;
const BODY_MAX = 1_000_000;

const s256 = verifier => createHash('sha256').update(verifier).digest('base64url');
const now = () => Math.floor(Date.now() / 1000);

async function makeKey(alg, kid) {
  const { publicKey, privateKey } = await jose.generateKeyPair(alg, { extractable: true });
  return { alg, kid, privateKey, jwk: { ...(await jose.exportJWK(publicKey)), alg, kid, use: 'sig' } };
}

async function bodyOf(req) {
  let text = '';
  for await (const part of req) {
    text += part;
    if (text.length > BODY_MAX) throw new Error('too much');
  }
  return text;
}

export class ScriptedAs {
  #server;
  #codes = new Map();
  #sockets = new Set();
  keys = [];
  mode = 'ok';
  fetched = { jwks: 0, metadata: 0, authorize: 0, token: 0 };
  requests = [];
  /** Who signs in next, and further claims of the tokens. */
  account = 'alice';
  claims = {};
  metadata = {};

  static async start({ port = 0 } = {}) {
    const as = new ScriptedAs();
    await as.rotate();
    as.#server = createServer((req, res) => {
      as.#handle(req, res).catch(error => {
        console.error(error);
        res.destroy();
      });
    });
    as.#server.on('connection', socket => {
      as.#sockets.add(socket);
      socket.on('close', () => as.#sockets.delete(socket));
    });
    await new Promise(done => as.#server.listen(port, '127.0.0.1', done));
    as.port = as.#server.address().port;
    as.issuer = `http://127.0.0.1:${as.port}`;
    as.jwksUri = `${as.issuer}/jwks`;
    return as;
  }

  /** Adds a key and signs with it from now on; `only` forgets the older ones. */
  async rotate({ alg = 'ES256', kid = randomUUID(), only = false } = {}) {
    const key = await makeKey(alg, kid);
    this.keys = only ? [key] : [key, ...this.keys];
    return key;
  }

  /** A key that is never published. */
  strange({ alg = 'ES256', kid = randomUUID() } = {}) {
    return makeKey(alg, kid);
  }

  /** A signed JWT; `header` and `claims` are merged over sensible ones, `key` need not be published. */
  async mint({ aud, sub = 'alice', claims = {}, header = {}, key = this.keys[0], lifetime = 600 } = {}) {
    const payload = { iss: this.issuer, sub, aud, iat: now(), exp: now() + lifetime, jti: randomUUID(), canary: randomBytes(24).toString('base64url'), ...this.claims, ...claims };
    for (const [name, value] of Object.entries(payload)) if (value === undefined) delete payload[name];
    return new jose.SignJWT(payload).setProtectedHeader({ alg: key.alg, kid: key.kid, typ: 'at+jwt', ...header }).sign(key.privateKey);
  }

  /** Cuts every connection: what a stopped server looks like. */
  cut() {
    for (const socket of this.#sockets) socket.destroy();
  }

  async stop() {
    this.cut();
    await new Promise(done => this.#server.close(done));
  }

  #json(res, status, body, headers = {}) {
    res.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store', ...headers });
    res.end(typeof body === 'string' ? body : JSON.stringify(body));
  }

  #document() {
    return {
      issuer: this.issuer,
      authorization_endpoint: `${this.issuer}/authorize`,
      token_endpoint: `${this.issuer}/token`,
      jwks_uri: this.jwksUri,
      response_types_supported: ['code'],
      grant_types_supported: ['authorization_code', 'refresh_token'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['ES256'],
      token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post', 'none'],
      code_challenge_methods_supported: ['S256'],
      authorization_response_iss_parameter_supported: true,
      scopes_supported: ['openid', 'profile', 'email'],
      ...this.metadata,
    };
  }

  /** True when the mode answers (or never answers) the fetch of a document. */
  #broken(res) {
    switch (this.mode) {
      case 'ok':
        return false;
      case 'down':
        res.socket.destroy();
        return true;
      case 'hang':
        return true;
      case 'garbage':
        this.#json(res, 200, '{"keys": [');
        return true;
      case 'error':
        this.#json(res, 500, { error: 'server_error' });
        return true;
      case 'redirect':
        res.writeHead(302, { location: `${this.issuer}/elsewhere` }).end();
        return true;
      case 'empty':
        this.#json(res, 200, { keys: [] });
        return true;
      case 'symmetric':
        this.#json(res, 200, { keys: [{ kty: 'oct', kid: this.keys[0].kid, alg: 'HS256', k: randomBytes(32).toString('base64url') }] });
        return true;
      case 'huge':
        this.#json(res, 200, JSON.stringify({ keys: this.keys.map(({ jwk }) => jwk), padding: 'x'.repeat(HUGE_BYTES) }));
        return true;
      default:
        throw new Error(`unknown mode ${this.mode}`);
    }
  }

  async #handle(req, res) {
    const url = new URL(req.url, this.issuer);
    const body = req.method === 'POST' ? await bodyOf(req) : '';
    this.requests.push({ method: req.method, url: req.url, headers: req.headers, body });
    switch (url.pathname) {
      case '/jwks':
        this.fetched.jwks += 1;
        return this.#broken(res) || this.#json(res, 200, { keys: this.keys.map(({ jwk }) => jwk) });
      case '/elsewhere':
        this.fetched.elsewhere = (this.fetched.elsewhere ?? 0) + 1;
        return this.#json(res, 200, { keys: this.keys.map(({ jwk }) => jwk) });
      case '/.well-known/openid-configuration':
      case '/.well-known/oauth-authorization-server':
        this.fetched.metadata += 1;
        return this.#broken(res) || this.#json(res, 200, this.#document());
      case '/authorize':
        this.fetched.authorize += 1;
        return this.#authorize(res, url.searchParams);
      case '/token':
        this.fetched.token += 1;
        return this.#token(res, new URLSearchParams(body));
      default:
        res.writeHead(404).end();
    }
  }

  #authorize(res, params) {
    const code = randomBytes(24).toString('base64url');
    this.#codes.set(code, { account: params.get('login_hint') ?? this.account, params: Object.fromEntries(params) });
    const back = new URL(params.get('redirect_uri'));
    back.searchParams.set('code', code);
    if (params.has('state')) back.searchParams.set('state', params.get('state'));
    back.searchParams.set('iss', this.issuer);
    res.writeHead(302, { location: String(back) }).end();
  }

  async #token(res, form) {
    const grant = this.#codes.get(form.get('code'));
    this.#codes.delete(form.get('code'));
    if (!grant) return this.#json(res, 400, { error: 'invalid_grant' });
    const { params, account } = grant;
    const verified = !params.code_challenge || s256(form.get('code_verifier') ?? '') === params.code_challenge;
    if (!verified || form.get('redirect_uri') !== params.redirect_uri) return this.#json(res, 400, { error: 'invalid_grant' });
    const identity = {
      iss: this.issuer,
      sub: account,
      aud: params.client_id,
      iat: now(),
      exp: now() + 600,
      name: account,
      email: `${account}@example.com`,
      ...(params.nonce && { nonce: params.nonce }),
      ...this.claims,
    };
    const key = this.keys[0];
    const idToken = await new jose.SignJWT(identity).setProtectedHeader({ alg: key.alg, kid: key.kid, typ: 'JWT' }).sign(key.privateKey);
    const accessToken = await this.mint({ aud: params.resource ?? params.client_id, sub: account });
    return this.#json(res, 200, { access_token: accessToken, token_type: 'Bearer', expires_in: 600, id_token: idToken, scope: params.scope });
  }
}
