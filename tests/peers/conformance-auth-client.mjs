// The client command of the suite's authorization scenarios: a gateway whose upstream is the
// suite's server, and one SDK client that calls through it as a person who signs in at an identity
// provider which approves at once. So the gateway is the OAuth client under test.
//   node conformance-auth-client.mjs URL      (environment as the suite sets it)
// CONFORMANCE_OUTCOME names a file for {worked, links, lines, records}; CONFORMANCE_REFERENCE=1 lets
// the SDK client talk to the suite itself, without a gateway.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Browser } from './browserless.mjs';
import { freePort, runClient, startGateway } from './harness.mjs';
import { ScriptedAs } from './scripted-as.mjs';

const url = process.argv.at(-1);
const scenario = process.env.MCP_CONFORMANCE_SCENARIO;
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}');
const METADATA_DOCUMENT = 'https://conformance-test.local/client-metadata.json';
const TOOL = 'test-tool';
const CAPABILITIES = JSON.stringify({ elicitation: { form: {}, url: {} } });
const plan = [{ op: 'list' }, { op: 'call', name: TOOL, args: {} }, { op: 'call', name: TOOL, args: {} }];

/** What an operator would know: the issuer that the upstream names. */
async function issuerOf(upstream) {
  const metadata = new URL(`/.well-known/oauth-protected-resource${new URL(upstream).pathname}`, upstream);
  const answer = await fetch(metadata);
  return (await answer.json()).authorization_servers[0];
}

/** How the gateway gets its token in this scenario. */
async function credential(dir) {
  const secretFile = (name, text) => {
    const file = join(dir, name);
    writeFileSync(file, text, { mode: 0o600 });
    return file;
  };
  const server = async () => ({ issuer: await issuerOf(url), client_id: context.client_id, allow_private_addresses: true });
  switch (scenario) {
    case 'auth/client-credentials-basic':
      return { client_credentials: { ...(await server()), client_secret: context.client_secret } };
    case 'auth/client-credentials-jwt':
      return { client_credentials: { ...(await server()), private_key: secretFile('key.pem', context.private_key_pem) } };
    case 'auth/enterprise-managed-authorization':
      return {
        id_jag: {
          // The suite's identity provider does not look at the secret.
          idp: { issuer: context.idp_issuer, client_id: context.idp_client_id, client_secret: 'none', allow_private_addresses: true },
          ...(await server()),
          client_secret: context.client_secret,
          subject_token: `\${file:${secretFile('id-token.jwt', context.idp_id_token)}}`,
        },
      };
    case 'auth/pre-registration':
      return { per_user: { client_id: context.client_id, client_secret: context.client_secret, issuer: context.issuer } };
    case 'auth/basic-cimd':
      return { per_user: { client_id: METADATA_DOCUMENT } };
    default:
      return { per_user: {} };
  }
}

/** The steps of the plan: the call worked when every call of the tool did. */
function judge(lines) {
  const calls = lines.filter(({ op, name }) => op === 'call' && name === TOOL);
  return calls.length > 0 && calls.every(({ ok, result }) => ok && result.isError !== true && result.content?.[0]?.text === 'test');
}

async function throughGateway() {
  const dir = mkdtempSync(join(tmpdir(), 'portcullis-conformance-'));
  const idp = await ScriptedAs.start();
  const port = await freePort();
  const client = { client_id: 'gateway', client_secret: 'gateway-secret-at-the-identity-provider' };
  const links = [];
  let gateway;
  try {
    const shown = await credential(dir);
    // People sign in where they link accounts.
    const authserver = shown.per_user && { enabled: true, upstream: { issuer: idp.issuer, ...client, scopes: ['openid', 'profile'] } };
    gateway = await startGateway({
      port,
      config: {
        identity: { issuers: [{ issuer: idp.issuer, jwks: idp.jwksUri, algorithms: ['ES256'] }] },
        ...(authserver && { authserver }),
        routes: [{ path: '/mcp', upstreams: ['suite'], names: 'bare' }],
        upstreams: [{ name: 'suite', http: { url }, allow_private_addresses: true, credential: shown }],
        telemetry: { log: 'debug', log_format: 'json' },
      },
      policies: {
        rules: [{ id: 'all', effect: 'allow', principals: ['any'], tools: ['*'], classes: ['read', 'write', 'destructive'] }],
      },
    });
    const browser = new Browser({ ca: [gateway.ca] });
    const open = async link => {
      const page = await browser.approve(link);
      links.push({ link, at: String(page.url), status: page.status, text: page.text.slice(0, 2000) });
    };
    const token = await idp.mint({ aud: `${gateway.base}/mcp`, sub: 'alice' });
    const lines = await gateway.client('ts2', plan, { token, links: true, open, env: { CAPABILITIES } });
    const hops = browser.history.map(({ method, url: at, status, headers }) => [method, String(at), status, headers.location]);
    return { worked: judge(lines), links, hops, lines, records: gateway.records(), log: gateway.log() };
  } finally {
    await gateway?.stop();
    await idp.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

/** The SDK client itself as OAuth client: the yardstick. */
async function reference() {
  const browser = new Browser();
  const open = async link => void (await browser.approve(link));
  const known = scenario === 'auth/pre-registration' ? context : scenario === 'auth/basic-cimd' ? { cimd: METADATA_DOCUMENT } : {};
  const lines = await runClient({ base: new URL(url).origin }, 'ts2', plan, { route: '/mcp', oauth: known, open, env: { CAPABILITIES } });
  return { worked: judge(lines), links: [], lines };
}

let outcome;
try {
  outcome = await (process.env.CONFORMANCE_REFERENCE ? reference() : throughGateway());
} catch (error) {
  outcome = { worked: false, links: [], broken: error.stack };
  process.exitCode = 1;
}
if (process.env.CONFORMANCE_OUTCOME) writeFileSync(process.env.CONFORMANCE_OUTCOME, JSON.stringify(outcome, null, 1));
