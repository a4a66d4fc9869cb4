// The gateway's own authorization server in front of oidc-provider as the corporate identity provider.
import { freePort } from '../harness.mjs';
import { makeCerts } from './certs.mjs';
import { SERVERS, policies, startGuarded } from './oauth.mjs';

const SECRET = 'gateway-secret-at-the-identity-provider';

/** Client of the corporate identity provider that the gateway is. */
export const gatewayClient = base => ({
  client_id: 'gateway',
  client_secret: SECRET,
  redirect_uris: [`${base}/oauth/callback`],
  grant_types: ['authorization_code', 'urn:ietf:params:oauth:grant-type:token-exchange'],
  response_types: ['code'],
});

export const upstreamOf = idp => ({ issuer: idp.origin, client_id: 'gateway', client_secret: SECRET, scopes: ['openid', 'profile', 'email'], groups_claim: 'groups' });

/**
 * {gateway, strict, idp, base, certs, stop}. `idp`: settings of oidc-provider, or a function of our base; `authserver`: merged
 * over the section, or a function of the identity provider. The certificate is of a test CA that is known before anything starts, and trusted by all.
 */
export async function startAuthServer({ idp: settings = {}, authserver = {}, certs = makeCerts(), ...rest } = {}) {
  const port = await freePort();
  const base = `https://127.0.0.1:${port}`;
  const idp = await SERVERS['oidc-provider'].start({ clients: [gatewayClient(base)], ...(typeof settings === 'function' ? settings(base) : settings) });
  try {
    const world = await startGuarded({
      port,
      issuers: [],
      env: { SSL_CERT_FILE: certs.ca },
      ...rest,
      config: {
        tls: { cert: certs.file('server.pem'), key: certs.file('server.key') },
        authserver: {
          enabled: true,
          upstream: upstreamOf(idp),
          cimd: { enabled: true, allow: ['clients.example.com'] },
          dcr: { enabled: true, per_hour: 1000 },
          scopes: { 'mcp:read': 'Read with tools', 'mcp:write': 'Change things with tools' },
          ...(typeof authserver === 'function' ? authserver(idp) : authserver),
        },
        ...rest.config,
      },
      policies: rest.policies ?? policies,
    });
    world.gateway.ca = certs.ca;
    return {
      ...world,
      idp,
      base,
      certs,
      stop: async () => {
        await world.stop();
        await idp.stop();
        certs.remove();
      },
    };
  } catch (error) {
    await idp.stop();
    certs.remove();
    throw error;
  }
}
