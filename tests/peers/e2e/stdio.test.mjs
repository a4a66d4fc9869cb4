// Official TypeScript clients over stdio: `portcullis connect` stands between them and the gateway.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Client as Client2 } from '@modelcontextprotocol/client';
import { StdioClientTransport as Stdio2 } from '@modelcontextprotocol/client/stdio';
import { Client as Client1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport as Stdio1 } from '@modelcontextprotocol/sdk/client/stdio.js';
import { BINARY } from '../harness.mjs';
import { startWorld } from './world.mjs';

const CLIENTS = {
  'ts1': parameters => [new Client1({ name: 'ts1', version: '1' }), new Stdio1(parameters)],
  'ts2 legacy': parameters => [new Client2({ name: 'ts2', version: '1' }), new Stdio2(parameters)],
  'ts2 auto': parameters => [
    new Client2({ name: 'ts2', version: '1' }, { versionNegotiation: { mode: 'auto' } }),
    new Stdio2(parameters),
  ],
};

describe('stdio', { timeout: 120_000 }, () => {
  let world;
  before(async () => {
    world = await startWorld();
  });
  after(() => world?.stop());

  for (const [kind, make] of Object.entries(CLIENTS)) {
    test(kind, async () => {
      const { gateway, root } = world;
      const [client, transport] = make({
        command: BINARY,
        args: ['connect', `${gateway.base}/mcp`, '--ca', gateway.ca],
        env: { ...process.env, PORTCULLIS_TOKEN: await gateway.token({ sub: 'alice', groups: ['eng'] }) },
      });
      await client.connect(transport);
      try {
        const { tools } = await client.listTools();
        assert.ok(tools.some(({ name }) => name === 'everything__echo'));
        const call = (name, args, options) => {
          const params = { name, arguments: args };
          return kind === 'ts1' ? client.callTool(params, undefined, options) : client.callTool(params, options);
        };
        const echoed = await call('everything__echo', { message: 'over two pipes' });
        assert.match(echoed.content[0].text, /over two pipes/);
        const mirrored = await call('strict__region', { region: 'eu-1' });
        assert.ok(!mirrored.isError, JSON.stringify(mirrored));
        const refused = await call('files__read_text_file', { path: join(root, 'private/note.txt') });
        assert.equal(refused.isError, true);
        const progress = [];
        const slow = await call('strict__slow', { steps: 4, delay_ms: 50 }, { onprogress: step => progress.push(step.progress) });
        assert.ok(!slow.isError, JSON.stringify(slow));
        assert.ok(progress.length >= 2, `progress: ${progress}`);
      } finally {
        await client.close();
      }
    });
  }
});
