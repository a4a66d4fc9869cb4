// The TypeScript SDK 1.x client: sessions, up to 2025-11-25. See driver.mjs.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { countingFetch, run } from './driver.mjs';

await run(async ({ url, headers, capabilities, timeout }, onNotification) => {
  const client = new Client({ name: 'client-ts1', version: '1.0.0' }, { capabilities });
  client.fallbackNotificationHandler = async notification => onNotification(notification);
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
