// The world of the end-to-end tests: six upstreams behind one route, and a policy.
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { peer, startGateway, startServer } from '../harness.mjs';

const published = name => peer(`node_modules/@modelcontextprotocol/${name}/dist/index.js`);

/** A stdio upstream that runs a script with this node. */
export const stdio = (name, script, args = [], env = {}) => ({
  name,
  stdio: { command: process.execPath, args: [script, ...args], env, danger_unsandboxed: true },
});

export const everything = name => stdio(name, published('server-everything'), ['stdio']);

const READ = [
  'everything__echo',
  'everything__get-*',
  'everything__trigger-long-running-operation',
  'everything-http__echo',
  'everything-http__get-*',
  'files__read_*',
  'files__list_*',
  'memory__read_graph',
  'memory__search_nodes',
  'memory__open_nodes',
  'time__*',
  'strict__echo',
  'strict__add',
  'strict__slow',
  'strict__region',
  'strict__cancelled_count',
];

/** `root` holds public/ (readable) and private/ (not). */
export const policies = root => ({
  groups: { engineering: { claim: 'groups', any_of: ['eng'] } },
  tools: [
    { match: READ, class: 'read' },
    { match: ['memory__create_*', 'strict__write_note'], class: 'write' },
    { match: ['*__delete_*'], class: 'destructive' },
  ],
  rules: [
    {
      id: 'engineers-read',
      effect: 'allow',
      principals: ['group:engineering'],
      tools: ['everything__*', 'everything-http__*', 'memory__*', 'time__*', 'strict__*', 'files__list_*'],
      resources: ['*'],
      prompts: ['*'],
    },
    {
      id: 'engineers-read-public-files',
      effect: 'allow',
      principals: ['group:engineering'],
      tools: ['files__read_*'],
      arguments: { '/path': { path_under: [join(root, 'public')] } },
    },
    {
      id: 'engineers-write',
      effect: 'allow',
      principals: ['group:engineering'],
      tools: ['memory__create_*', 'strict__write_note'],
      classes: ['write'],
    },
    {
      id: 'engineers-delete-notes',
      effect: 'allow',
      principals: ['group:engineering'],
      tools: ['strict__delete_note', 'memory__delete_*'],
      classes: ['destructive'],
    },
    { id: 'keep-welcome', effect: 'deny', tools: ['strict__delete_note'], arguments: { '/id': { equals: 'welcome' } } },
    { id: 'keep-memory', effect: 'deny', tools: ['memory__delete_*'] },
    {
      id: 'few-additions',
      effect: 'allow',
      principals: ['group:engineering'],
      tools: ['strict__add'],
      require: { limit: [{ calls: 3, per: '1h', by: ['principal', 'tool'] }] },
    },
  ],
});

/** Starts everything; {gateway, strict, everythingHttp, root, stop}. */
export async function startWorld({ env } = {}) {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'portcullis-files-')));
  for (const part of ['public', 'private']) {
    mkdirSync(join(root, part));
    writeFileSync(join(root, part, 'note.txt'), `a ${part} note\n`);
  }
  const stops = [];
  try {
    const strict = await startServer('fixtures/strict-2026.mjs');
    stops.push(() => strict.stop());
    const everythingHttp = await startServer('node_modules/@modelcontextprotocol/server-everything/dist/index.js', {
      args: ['streamableHttp'],
      preload: true,
    });
    stops.push(() => everythingHttp.stop());
    const upstreams = [
      everything('everything'),
      { name: 'everything-http', http: { url: everythingHttp.url } },
      stdio('files', published('server-filesystem'), [root]),
      stdio('memory', published('server-memory'), [], { MEMORY_FILE_PATH: join(root, 'memory.jsonl') }),
      { name: 'time', stdio: { command: peer('.venv/bin/mcp-server-time'), args: [], danger_unsandboxed: true } },
      { name: 'strict', http: { url: strict.url } },
    ];
    const routes = [{ path: '/mcp', upstreams: upstreams.map(({ name }) => name) }];
    const gateway = await startGateway({ config: { routes, upstreams }, policies: policies(root), env });
    stops.push(() => gateway.stop());
    return { gateway, strict, everythingHttp, root, stop: () => stopAll(stops, root) };
  } catch (error) {
    await stopAll(stops, root);
    throw error;
  }
}

async function stopAll(stops, root) {
  for (const stop of stops.reverse()) await stop();
  rmSync(root, { recursive: true, force: true });
}
