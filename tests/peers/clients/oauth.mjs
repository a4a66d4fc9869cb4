// What both TypeScript SDKs need to authorize by themselves: an OAuth client provider with a
// loopback redirect, whose authorization URL the parent process opens (as a browser would).
// Environment OAUTH (JSON): {client_id?, client_secret?, issuer?, cimd?, scope?}; `{}` registers dynamically.
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';

const CALLBACK_MS = 30_000;
const MESSAGE_MS = 60_000;

let asked = 0;

/** Asks the parent to open a URL; resolves with what it answers. */
export function open(url, kind) {
  asked += 1;
  const id = asked;
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`nobody opened ${url}`)), MESSAGE_MS);
    const listen = message => {
      if (message.opened !== id) return;
      clearTimeout(timer);
      process.off('message', listen);
      if (message.error) reject(new Error(message.error));
      else resolve(message.result);
    };
    process.on('message', listen);
    process.send({ open: String(url), kind, id });
  });
}

export class LoopbackProvider {
  #settings;
  #server;
  #state;
  #verifier;
  #information;
  #discovery;
  #wanted;
  #callback;
  saved = [];

  static async create(settings) {
    const provider = new LoopbackProvider();
    provider.#settings = settings;
    if (settings.client_id) {
      provider.#information = {
        client_id: settings.client_id,
        ...(settings.client_secret && { client_secret: settings.client_secret }),
        ...(settings.issuer && { issuer: settings.issuer }),
      };
    }
    provider.clientMetadataUrl = settings.cimd;
    provider.#server = createServer((req, res) => {
      const url = new URL(req.url, provider.redirectUrl);
      res.writeHead(url.pathname === '/callback' ? 200 : 404, { 'content-type': 'text/plain' }).end('You can close this page.');
      if (url.pathname === '/callback') provider.#callback?.(url.searchParams);
    });
    await new Promise(done => provider.#server.listen(settings.port ?? 0, '127.0.0.1', done));
    provider.#server.unref();
    return provider;
  }

  get redirectUrl() {
    return `http://127.0.0.1:${this.#server.address().port}/callback`;
  }

  get clientMetadata() {
    return {
      client_name: this.#settings.name ?? 'Test client',
      redirect_uris: [this.redirectUrl],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
      application_type: 'native',
      ...(this.#settings.scope && { scope: this.#settings.scope }),
    };
  }

  state() {
    this.#state = randomBytes(16).toString('base64url');
    return this.#state;
  }

  clientInformation() {
    return this.#information;
  }

  saveClientInformation(information) {
    this.#information = information;
  }

  tokens() {
    return this.saved.at(-1);
  }

  saveTokens(tokens) {
    this.saved.push(tokens);
  }

  redirectToAuthorization(url) {
    this.#wanted = url;
  }

  saveCodeVerifier(verifier) {
    this.#verifier = verifier;
  }

  codeVerifier() {
    return this.#verifier;
  }

  saveDiscoveryState(state) {
    this.#discovery = state;
  }

  discoveryState() {
    return this.#discovery;
  }

  /** Lets the parent open the wanted URL; resolves with the parameters of the redirect back. */
  async authorize() {
    const url = this.#wanted;
    if (!url) throw new Error('no authorization was asked for');
    this.#wanted = undefined;
    const state = this.#state;
    const back = new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('nobody came back')), CALLBACK_MS);
      this.#callback = params => {
        clearTimeout(timer);
        resolve(params);
      };
    });
    back.catch(() => {});
    await open(url, 'authorize');
    const params = await back;
    if (params.get('state') !== state) throw new Error('the state is another one');
    if (params.get('error')) throw new Error(`authorization failed: ${params.get('error')}`);
    return params;
  }
}
