// Certificates of a test CA, and an https server with one of them.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { peer } from '../harness.mjs';

/** Makes a CA, a server certificate and client certificates {name: URI or dns:NAME}; {dir, ca, file(name), remove}. */
export function makeCerts(clients = {}) {
  const dir = mkdtempSync(join(tmpdir(), 'portcullis-certs-'));
  const args = Object.entries(clients).map(([name, san]) => `${name}=${san}`);
  execFileSync(peer('.venv/bin/python'), [peer('fixtures/certs.py'), dir, ...args]);
  const file = name => join(dir, name);
  return { dir, ca: file('ca.pem'), file, remove: () => rmSync(dir, { recursive: true, force: true }) };
}

/** Serves `answers` ({path: value or function of the request}) as JSON over https; {origin, seen, stop}. */
export async function serveJson(certs, answers) {
  const seen = [];
  const server = createServer({ cert: readFileSync(certs.file('server.pem')), key: readFileSync(certs.file('server.key')) }, (req, res) => {
    seen.push(req.url);
    const answer = answers[req.url];
    const value = typeof answer === 'function' ? answer(req) : answer;
    res.writeHead(value === undefined ? 404 : 200, { 'content-type': 'application/json' });
    res.end(JSON.stringify(value ?? {}));
  });
  await new Promise(done => server.listen(0, '127.0.0.1', done));
  return {
    origin: `https://localhost:${server.address().port}`,
    seen,
    stop: () => {
      server.closeAllConnections();
      return new Promise(done => server.close(done));
    },
  };
}
