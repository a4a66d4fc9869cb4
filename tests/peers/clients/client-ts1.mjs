// The TypeScript SDK 1.x client: sessions, up to 2025-11-25. See driver.mjs.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { CreateMessageRequestSchema, ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { countingFetch, run } from './driver.mjs';

const QUESTIONS = { 'elicitation/create': ElicitRequestSchema, 'sampling/createMessage': CreateMessageRequestSchema };

await run(async ({ url, headers, capabilities, answers, timeout }, onNotification) => {
  const client = new Client({ name: 'client-ts1', version: '1.0.0' }, { capabilities });
  client.fallbackNotificationHandler = async notification => onNotification(notification);
  for (const [method, answer] of Object.entries(answers)) {
    client.setRequestHandler(QUESTIONS[method], async ({ params }, { requestId }) => {
      onNotification({ method, params, id: requestId });
      if (answer.error) throw Object.assign(new Error(answer.error.message), { code: answer.error.code });
      return answer;
    });
  }
  const transport = new StreamableHTTPClientTransport(url, { requestInit: { headers }, fetch: countingFetch });
  const call = client.callTool.bind(client);
  client.callTool = (params, options) => call(params, undefined, options);
  client.negotiated = () => transport.protocolVersion;
  client.finish = async () => {
    await transport.terminateSession().catch(() => {});
    await client.close();
  };
  await client.connect(transport, { timeout });
  return client;
});
