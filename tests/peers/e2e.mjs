// Runs the end-to-end tests (e2e/*.test.mjs) with node's own runner; exits with its result.
//   PORTCULLIS_BIN=target/debug/portcullis node e2e.mjs [name of a file, without .test.mjs ...]
// Failures of tests in e2e/pending.mjs are reported and do not count; what passes must be taken off that list.
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { report } from './canary.mjs';
import { PENDING } from './e2e/pending.mjs';
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

// Everything that is written during the run is searched for tokens at its end (canary.mjs).
const canaries = mkdtempSync(join(tmpdir(), 'portcullis-canaries-'));
process.env.CANARY_DIR = canaries;

const fileOf = ({ file }) => basename(file ?? '', '.test.mjs');
const CONSEQUENCES = new Set(['subtestsFailed', 'cancelledByParent']);
const failures = [];
const passes = [];

/** An entry is `file` (all of it) or `file: name of a test or a suite`. */
const covers = (entry, { file, name }) => entry === file || entry === `${file}: ${name}`;

// One file after the other: each starts a dozen processes. What a test that failed has left running holds up no other.
run({ files, concurrency: 1, isolation: 'process', execArgv: ['--test-force-exit'] })
  .on('test:fail', data => {
    // A suite fails with its tests, and tests are cancelled with their suite: count the cause.
    if (!CONSEQUENCES.has(data.details?.error?.failureType)) failures.push({ file: fileOf(data), name: data.name });
  })
  .on('test:pass', data => {
    if (data.details?.type !== 'suite') passes.push({ file: fileOf(data), name: data.name });
  })
  .on('end', judge)
  .compose(new spec())
  .pipe(process.stdout);

function judge() {
  const pending = failures.filter(test => PENDING.some(entry => covers(entry, test)));
  const unexpected = failures.filter(test => !pending.includes(test));
  const ran = PENDING.filter(entry => files.some(file => entry.split(':')[0] === basename(file, '.test.mjs')));
  const stale = ran.filter(entry => !pending.some(test => covers(entry, test)));
  for (const { file, name } of pending) console.log(`PENDING ${file}: ${name}`);
  for (const { file, name } of unexpected) console.log(`FAILED ${file}: ${name}`);
  for (const entry of stale) console.log(`STALE ${entry}: it passes, or is gone: take it off e2e/pending.mjs`);
  console.log(`${passes.length} passed, ${unexpected.length} failed, ${pending.length} pending fail, ${stale.length} stale`);
  const clean = report(canaries);
  if (clean && !process.env.KEEP_E2E) rmSync(canaries, { recursive: true, force: true });
  if (unexpected.length + stale.length > 0 || !clean) process.exitCode = 1;
}
