// Runs the end-to-end tests (e2e/*.test.mjs) with node's own runner; exits with its result.
//   PORTCULLIS_BIN=target/debug/portcullis node e2e.mjs [name of a file, without .test.mjs ...]
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { BINARY, HERE } from './harness.mjs';

if (!existsSync(BINARY)) {
  console.error(`no gateway at ${BINARY}: build it, or set PORTCULLIS_BIN`);
  process.exit(2);
}
const wanted = process.argv.slice(2);
const files = readdirSync(join(HERE, 'e2e'))
  .filter(name => name.endsWith('.test.mjs'))
  .filter(name => wanted.length === 0 || wanted.includes(name.slice(0, -'.test.mjs'.length)))
  .sort()
  .map(name => join(HERE, 'e2e', name));
if (files.length === 0) {
  console.error('no such test file');
  process.exit(2);
}
// One file after the other: each starts a dozen processes.
run({ files, concurrency: 1, isolation: 'process' })
  .on('test:fail', () => {
    process.exitCode = 1;
  })
  .compose(new spec())
  .pipe(process.stdout);
