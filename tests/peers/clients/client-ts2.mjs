// The TypeScript SDK 2.x client. ERA=auto (default) discovers 2026-07-28 and falls back;
// ERA=legacy opens a session; any other value is a revision that must be offered. See driver.mjs.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { countingFetch, run } from './driver.mjs';

const era = process.env.ERA ?? 'auto';
const mode = era === 'auto' || era === 'legacy' ? era : { pin: era };

await run(async ({ url, headers, capabilities, timeout }, onNotification) => {
  const client = new Client({ name: 'client-ts2', version: '2.0.0' }, { capabilities, versionNegotiation: { mode } });
  client.fallbackNotificationHandler = async notification => onNotification(notification);
  const transport = new StreamableHTTPClientTransport(url, { requestInit: { headers }, fetch: countingFetch });
  client.negotiated = () => client.getNegotiatedProtocolVersion?.() ?? transport.protocolVersion;
  client.finish = async () => {
    await transport.terminateSession?.().catch(() => {});
    await client.close();
  };
  await client.connect(transport, { timeout });
  return client;
});
