// Runs the official conformance suite against a server directly and through the
// gateway, and compares the two check by check.
//
//   node conformance.mjs --revision 2025-11-25 --direct URL --through URL \
//        [--expected expected-failures-2025-11-25.yml] [--out DIR] [--timeout MS]
//
// Exit 0 when the checks that pass direct and do not pass through are exactly the
// expected ones; 1 when one is lost unexpectedly or an expectation is stale; 2 when
// the comparison itself means nothing (the suite did not run, the fixture is broken).
import { spawn } from 'node:child_process';
import { mkdtempSync, mkdirSync, readFileSync, readdirSync, existsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { parse } from 'yaml';

const HERE = dirname(fileURLToPath(import.meta.url));
export const SUITE = join(HERE, 'node_modules/@modelcontextprotocol/conformance');
export const PASSING = new Set(['SUCCESS', 'INFO']);

/** Runs one requirement set against one URL; resolves with [{scenario, id, name, status, error}]. */
export function runSuite(url, { revision, out, timeout }) {
  mkdirSync(out, { recursive: true });
  const args = ['server', '--url', url, '--requirements', revision, '--timeout', String(timeout), '-o', out];
  const child = spawn(process.execPath, [join(SUITE, 'dist/index.js'), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let log = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', chunk => {
      log += chunk;
    });
  }
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', () => {
      writeFileSync(join(out, 'suite.log'), log);
      resolve(readChecks(out));
    });
  });
}

export function readChecks(out) {
  const checks = [];
  for (const entry of readdirSync(out)) {
    const scenario = /^server-(.+)-\d{4}-\d{2}-\d{2}T[\d-]+Z$/.exec(entry)?.[1];
    const file = join(out, entry, 'checks.json');
    if (!scenario || !existsSync(file)) continue;
    for (const { id, name, status, errorMessage } of JSON.parse(readFileSync(file, 'utf8'))) {
      checks.push({ scenario, id, name, status, error: errorMessage });
    }
  }
  return checks;
}

/** A check can be reported several times: counts per (scenario, id, name). */
function tally(checks) {
  const groups = new Map();
  for (const { scenario, id, name, status, error } of checks) {
    const key = `${scenario}\n${id}\n${name}`;
    const group = groups.get(key) ?? { scenario, id, name, passed: 0, failed: 0, succeeded: 0, errors: [] };
    if (status === 'SUCCESS') group.succeeded += 1;
    if (PASSING.has(status)) group.passed += 1;
    else {
      group.failed += 1;
      group.errors.push(`${status}: ${error ?? ''}`);
    }
    groups.set(key, group);
  }
  return groups;
}

/** Checks that do worse through than direct, in a stable order. */
export function compare(direct, through) {
  const [before, after] = [tally(direct), tally(through)];
  const names = new Map();
  for (const { scenario, id, name } of [...before.values(), ...after.values()]) {
    const key = `${scenario}/${id}`;
    names.set(key, (names.get(key) ?? new Set()).add(name));
  }
  const lost = [];
  for (const key of new Set([...before.keys(), ...after.keys()])) {
    const was = before.get(key) ?? { passed: 0, failed: 0 };
    const is = after.get(key) ?? { passed: 0, failed: 0, errors: ['the check was not reported'] };
    if (is.passed >= was.passed && is.failed <= was.failed) continue;
    // What never was more than a remark is no check.
    if (is.failed === 0 && was.failed === 0 && !was.succeeded) continue;
    const [scenario, id, name] = key.split('\n');
    const check = names.get(`${scenario}/${id}`).size > 1 ? `${id}/${name}` : id;
    lost.push({ scenario, check, error: is.errors.join('; ').slice(0, 500) });
  }
  const order = ({ scenario, check }) => `${scenario}/${check}`;
  return lost.sort((a, b) => (order(a) < order(b) ? -1 : 1));
}

/** Reads [{scenario, check, reason}]; every entry needs all three. */
export function readExpected(file) {
  if (!file) return [];
  const entries = parse(readFileSync(file, 'utf8')) ?? [];
  for (const entry of entries) {
    for (const field of ['scenario', 'check', 'reason']) {
      if (typeof entry?.[field] !== 'string') throw new Error(`${file}: an entry lacks ${field}`);
    }
  }
  return entries;
}

const requiredOf = revision => parse(readFileSync(join(SUITE, `requirements/${revision}.yaml`), 'utf8')).server;

/** Why the direct run cannot serve as a yardstick; empty when it can. What was skipped says nothing either way. */
function directProblems(required, direct) {
  const problems = [];
  for (const scenario of required) {
    const checks = direct.filter(check => check.scenario === scenario);
    if (!checks.some(({ status }) => status === 'SUCCESS')) problems.push(`${scenario}: nothing passes direct`);
    for (const { id, status, error } of checks) {
      if (!PASSING.has(status)) problems.push(`${scenario}/${id}: ${status} direct: ${error ?? ''}`);
    }
  }
  return problems;
}

const totals = checks => ({
  checks: checks.length,
  passed: checks.filter(({ status }) => PASSING.has(status)).length,
});

/** Scenarios of a revision that are not scored and must pass all the same. */
const ALSO = { '2026-07-28': ['http-header-validation', 'http-custom-header-server-validation'] };

function alsoFailed(revision, through) {
  return (ALSO[revision] ?? []).flatMap(scenario => {
    const checks = through.filter(check => check.scenario === scenario);
    if (!checks.some(({ status }) => status === 'SUCCESS')) return [{ scenario, check: 'any', error: 'nothing passes' }];
    const failed = checks.filter(({ status }) => !PASSING.has(status));
    return failed.map(({ id, error }) => ({ scenario, check: id, error: error ?? '' }));
  });
}

/**
 * Compares the checks of two runs, writes summary-NAME.json, prints; returns the exit code. `expected` names the file of
 * what may be lost; the first run is of a server of this revision itself, where everything must pass: of the scenarios in
 * `required`, or of those that the suite requires of the revision.
 */
export function judge({ name, revision, required = requiredOf(revision), before, after, expected, out, seconds }) {
  const wanted = readExpected(expected);
  const same = (a, b) => a.scenario === b.scenario && a.check === b.check;
  const lost = compare(before, after);
  const unexpected = [...lost, ...alsoFailed(revision, after)].filter(
    (check, at, all) => all.findIndex(other => same(check, other)) === at && !wanted.some(entry => same(entry, check)),
  );
  const stale = wanted.filter(entry => !lost.some(check => same(entry, check)));
  const broken = directProblems(required, before);
  const summary = { name, revision, seconds, direct: totals(before), through: totals(after), lost, unexpected, stale, broken };
  writeFileSync(join(out, `summary-${name}.json`), `${JSON.stringify(summary, null, 2)}\n`);
  report(summary, wanted.length);
  if (broken.length > 0) return 2;
  return unexpected.length + stale.length > 0 ? 1 : 0;
}

function report({ name, seconds, direct, through, lost, unexpected, stale, broken }, expected) {
  const score = ({ passed, checks }) => `${passed}/${checks}`;
  console.log(
    `conformance ${name}: direct ${score(direct)}, through ${score(through)}, ` +
      `lost ${lost.length}, expected ${expected} (${seconds} s)`,
  );
  for (const problem of broken) console.log(`  BROKEN FIXTURE ${problem}`);
  for (const { scenario, check, error } of unexpected) console.log(`  LOST ${scenario}/${check}: ${error}`);
  for (const { scenario, check } of stale) console.log(`  STALE ${scenario}/${check}: passes through, or is gone: remove it`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      revision: { type: 'string' },
      direct: { type: 'string' },
      through: { type: 'string' },
      expected: { type: 'string' },
      out: { type: 'string' },
      timeout: { type: 'string', default: '20000' },
    },
  });
  if (!values.revision || !values.direct || !values.through) {
    console.error('usage: conformance.mjs --revision REV --direct URL --through URL [--expected FILE] [--out DIR]');
    process.exit(2);
  }
  const out = values.out ?? mkdtempSync(join(tmpdir(), 'conformance-'));
  mkdirSync(out, { recursive: true });
  const started = performance.now();
  const run = url => runSuite(url, { revision: values.revision, timeout: Number(values.timeout), out: mkdtempSync(join(out, 'suite-')) });
  const [before, after] = await Promise.all([run(values.direct), run(values.through)]);
  const seconds = Math.round((performance.now() - started) / 1000);
  process.exit(judge({ ...values, name: values.revision, before, after, out, seconds }));
}
