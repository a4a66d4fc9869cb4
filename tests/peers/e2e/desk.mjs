// A gateway with a console in front of the recording upstream, oidc-provider as the identity provider of people and agents, and
// Chromium for the people.
import { startChromium, signInAndConsent } from '../chromium.mjs';
import { freePort } from '../harness.mjs';
import { SERVERS, rpc, startGuarded, tokenFor } from './oauth.mjs';

const SECRET = 'console-secret-at-the-identity-provider';
const GROUPS = { alice: ['eng'], bob: ['eng'], sam: ['sre'], sue: ['sre'], vera: ['staff'], olga: ['ops'], mallory: [] };

const policies = {
  groups: {
    engineering: { claim: 'groups', any_of: ['eng'] },
    sre: { claim: 'groups', any_of: ['sre'] },
  },
  tools: [
    { match: ['strict__echo', 'strict__region'], class: 'read' },
    { match: ['strict__add', 'strict__write_note'], class: 'write' },
  ],
  rules: [
    { id: 'engineers-read', effect: 'allow', principals: ['group:engineering'], tools: ['strict__echo', 'strict__region'], classes: ['read'] },
    { id: 'no-secrets', effect: 'deny', tools: ['*'], arguments: { '/**': { glob: 'AKIA*' } } },
    {
      id: 'notes-by-sre',
      effect: 'allow',
      principals: ['group:engineering'],
      tools: ['strict__write_note'],
      classes: ['write'],
      require: { approval: { from: ['group:sre'], expires: '15m' } },
    },
    {
      id: 'short-notes-soon',
      effect: 'allow',
      principals: ['group:engineering'],
      tools: ['strict__write_note'],
      classes: ['write'],
      arguments: { '/id': { glob: 'short-*' } },
      require: { approval: { from: ['group:sre'], expires: '1m' } },
    },
    {
      id: 'sums-by-two',
      effect: 'allow',
      principals: ['group:engineering'],
      tools: ['strict__add'],
      classes: ['write'],
      require: { approval: { from: ['group:sre'], quorum: 2, expires: '15m' } },
    },
    { id: 'echo-for-staff', effect: 'allow', mode: 'shadow', principals: ['any'], tools: ['strict__region'], classes: ['read'] },
  ],
};

/** {gateway, strict, as, admin, person, call, ask, token, stop}. `more` is merged over the config. */
export async function startDesk(more = {}) {
  const [port, console_] = [await freePort(), await freePort()];
  const admin = `http://127.0.0.1:${console_}`;
  const as = await SERVERS['oidc-provider'].start({
    pages: true,
    groups: GROUPS,
    clients: [
      { client_id: 'console', client_secret: SECRET, redirect_uris: [`${admin}/console/callback`], grant_types: ['authorization_code'], response_types: ['code'] },
    ],
  });
  let world;
  let chromium;
  try {
    world = await startGuarded({
      port,
      issuers: [{ issuer: as.origin, jwks: `${as.origin}/jwks`, algorithms: ['ES256'] }],
      identity: { dev: { enabled: false } },
      policies,
      config: {
        admin: {
          listen: `127.0.0.1:${console_}`,
          oidc: { issuer: as.origin, client_id: 'console', client_secret: SECRET, groups_claim: 'groups' },
          roles: { viewer: ['group:staff', 'group:eng'], approver: ['group:sre', 'group:eng'], operator: ['group:ops'] },
        },
        ...more,
      },
    });
    chromium = await startChromium();
  } catch (error) {
    await world?.stop();
    await as.stop();
    throw error;
  }
  const tokens = new Map();
  const token = async (account, resource) => {
    const key = `${account} ${resource}`;
    if (!tokens.has(key)) tokens.set(key, (await tokenFor(as, SERVERS['oidc-provider'], { resource, account, pages: true })).access_token);
    return tokens.get(key);
  };
  /** The result of a call by the agent of `account`. */
  const call = async (account, name, args) => {
    const answer = await rpc(world.gateway, 'tools/call', { name, arguments: args }, { token: await token(account, `${world.gateway.base}/mcp`) });
    return answer.json.result;
  };
  return {
    ...world,
    as,
    admin,
    chromium,
    call,
    /** The id of the request that a call of `account` waits for. */
    ask: async (account, name, args) => {
      const result = await call(account, name, args);
      const denial = result._meta?.['dev.portcullis/denial'];
      if (denial?.reason !== 'approval_required') throw new Error(`no approval asked for: ${JSON.stringify(result)}`);
      return denial.approval_id;
    },
    /** A token of `account` for an agent. */
    agentToken: account => token(account, `${world.gateway.base}/mcp`),
    /** A token of `account` for the admin API. */
    apiToken: account => token(account, admin),
    /** Somebody who is signed in, looking at `path`: {page, close, ...}. */
    person: async (login, path = '/console/approvals', options = {}) => {
      const person = await chromium.person(options);
      await person.page.goto(`${admin}${path}`);
      await person.page.getByRole('link', { name: 'Sign in' }).click();
      await signInAndConsent(person.page, login);
      await person.page.waitForURL(`${admin}${path}`);
      return person;
    },
    stop: async () => {
      await chromium.stop();
      await world.stop();
      await as.stop();
    },
  };
}

/** Waits until the page hears of what happens. */
export const listening = page => page.waitForSelector('body[data-connected]');
