// The TypeScript SDK 2.x client. ERA=auto (default) discovers 2026-07-28 and falls back;
// ERA=legacy opens a session; any other value is a revision that must be offered. See driver.mjs.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { answering, authorized, countingFetch, run } from './driver.mjs';
import { open } from './oauth.mjs';

const era = process.env.ERA ?? 'auto';
const mode = era === 'auto' || era === 'legacy' ? era : { pin: era };

await run(async ({ url, headers, capabilities, answers, timeout, provider, links }, onNotification) => {
  const client = new Client({ name: 'client-ts2', version: '2.0.0' }, { capabilities, versionNegotiation: { mode } });
  client.fallbackNotificationHandler = async notification => onNotification(notification);
  answering(answers, onNotification, (method, answer) =>
    client.setRequestHandler(method, async ({ params }, context) => answer(params, context?.mcpReq?.id)),
  );
  if (links && capabilities.elicitation) {
    client.setRequestHandler('elicitation/create', async ({ params }) => {
      if (params.mode !== 'url') return { action: 'decline' };
      await open(params.url, 'connect');
      return { action: 'accept' };
    });
  }
  // A transport starts once only: every attempt to connect has its own.
  let transport;
  const finish = params => transport.finishAuth(params);
  client.authorized = work => authorized(provider, finish, work);
  client.watch = async ({ lists, uris }, options) => {
    client.watching = true;
    if (client.negotiated() < '2026-07-28') {
      for (const uri of uris) await client.subscribeResource({ uri }, options);
      return {};
    }
    const wanted = Object.fromEntries(lists.map(list => [`${list}ListChanged`, true]));
    const subscription = await client.listen({ ...wanted, ...(uris.length > 0 && { resourceSubscriptions: uris }) }, options);
    return { honored: subscription.honoredFilter ?? null };
  };
  client.negotiated = () => client.getNegotiatedProtocolVersion?.() ?? transport.protocolVersion;
  client.finish = async () => {
    await transport.terminateSession?.().catch(() => {});
    await client.close();
  };
  await authorized(provider, finish, async () => {
    transport = new StreamableHTTPClientTransport(url, { requestInit: { headers }, fetch: countingFetch, authProvider: provider });
    await client.connect(transport, { timeout });
  });
  return client;
});
