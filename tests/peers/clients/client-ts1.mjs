// The TypeScript SDK 1.x client: sessions, up to 2025-11-25. See driver.mjs.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { CreateMessageRequestSchema, ElicitRequestSchema, ListRootsRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { answering, authorized, countingFetch, run } from './driver.mjs';
import { open } from './oauth.mjs';

const QUESTIONS = {
  'elicitation/create': ElicitRequestSchema,
  'sampling/createMessage': CreateMessageRequestSchema,
  'roots/list': ListRootsRequestSchema,
};

await run(async ({ url, headers, capabilities, answers, timeout, provider, links }, onNotification) => {
  const client = new Client({ name: 'client-ts1', version: '1.0.0' }, { capabilities });
  client.fallbackNotificationHandler = async notification => onNotification(notification);
  answering(answers, onNotification, (method, answer) =>
    client.setRequestHandler(QUESTIONS[method], async ({ params }, { requestId }) => answer(params, requestId)),
  );
  if (links && capabilities.elicitation) {
    client.setRequestHandler(ElicitRequestSchema, async ({ params }) => {
      if (params.mode !== 'url') return { action: 'decline' };
      await open(params.url, 'connect');
      return { action: 'accept' };
    });
  }
  // A transport starts once only: every attempt to connect has its own.
  let transport;
  const finish = params => transport.finishAuth(params.get('code'));
  client.authorized = work => authorized(provider, finish, work);
  const call = client.callTool.bind(client);
  client.callTool = (params, options) => call(params, undefined, options);
  // What a session announces comes by itself.
  client.watch = async ({ uris }, options) => {
    client.watching = true;
    for (const uri of uris) await client.subscribeResource({ uri }, options);
    return {};
  };
  client.negotiated = () => transport.protocolVersion;
  client.finish = async () => {
    await transport.terminateSession().catch(() => {});
    await client.close();
  };
  await authorized(provider, finish, async () => {
    transport = new StreamableHTTPClientTransport(url, { requestInit: { headers }, fetch: countingFetch, authProvider: provider });
    await client.connect(transport, { timeout });
  });
  return client;
});
