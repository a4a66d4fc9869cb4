// A browser without a screen: keeps cookies the way a browser does, follows redirects, and
// submits the form of a page that goes on. Everything it saw is in `history`.
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { readFileSync } from 'node:fs';

const HOPS_MAX = 30;
const BODY_MAX = 1_000_000;
const TIMEOUT_MS = 30_000;

const ENTITIES = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };
export const unescapeHtml = text =>
  text.replace(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (whole, hex, decimal, name) =>
    hex ? String.fromCodePoint(parseInt(hex, 16)) : decimal ? String.fromCodePoint(Number(decimal)) : (ENTITIES[name] ?? whole),
  );

const attribute = (tag, name) => {
  const found = new RegExp(`\\s${name}\\s*=\\s*(?:"([^"]*)"|'([^']*)'|([^\\s>]+))`, 'i').exec(tag);
  return found && unescapeHtml(found[1] ?? found[2] ?? found[3] ?? '');
};

/** The POST forms of a page: [{action, fields: {name: value}, buttons: [{name, value}]}]. */
export function formsOf(html, base) {
  const forms = [];
  for (const [, head, inside] of html.matchAll(/<form\b([^>]*)>([\s\S]*?)<\/form>/gi)) {
    if (!/method\s*=\s*["']?post/i.test(head)) continue;
    const form = { action: new URL(attribute(` ${head}`, 'action') || base, base), fields: {}, buttons: [] };
    for (const [tag] of inside.matchAll(/<(?:input|button)\b[^>]*>/gi)) {
      const type = (attribute(tag, 'type') ?? (/^<button/i.test(tag) ? 'submit' : 'text')).toLowerCase();
      const name = attribute(tag, 'name');
      const value = attribute(tag, 'value') ?? '';
      if (type === 'submit') form.buttons.push({ name, value });
      else if (name && type !== 'checkbox') form.fields[name] = value;
    }
    forms.push(form);
  }
  return forms;
}

const DENY = /deny|cancel|decline|abort/i;

/** The button that says yes: value "approve", or the first that does not say no. */
const yes = buttons => buttons.find(({ value }) => value === 'approve') ?? buttons.find(({ value }) => !DENY.test(value));
const no = buttons => buttons.find(({ value }) => DENY.test(value));

export class Browser {
  #jar = new Map();
  #ca;
  history = [];

  /** `ca`: PEM files that are trusted for https. */
  constructor({ ca = [] } = {}) {
    this.#ca = ca.map(file => readFileSync(file));
  }

  /** The cookies by name, whatever their host. */
  get cookies() {
    return Object.fromEntries([...this.#jar.values()].map(cookie => [cookie.name, cookie]));
  }

  #store(url, lines) {
    for (const line of lines) {
      const [pair, ...rest] = line.split(';').map(part => part.trim());
      const at = pair.indexOf('=');
      const attributes = Object.fromEntries(rest.map(part => part.split('=')).map(([key, value]) => [key.toLowerCase(), value ?? true]));
      const cookie = { name: pair.slice(0, at), value: pair.slice(at + 1), host: url.hostname, path: attributes.path ?? '/', attributes };
      const secure = url.protocol === 'https:';
      if (attributes.secure && !secure) continue;
      const prefixed = cookie.name.startsWith('__Host-');
      if (prefixed && !(attributes.secure && secure && attributes.path === '/' && attributes.domain === undefined)) continue;
      const key = `${cookie.host} ${cookie.path} ${cookie.name}`;
      const gone = attributes['max-age'] === '0' || (attributes.expires && Date.parse(attributes.expires) <= Date.now());
      if (gone) this.#jar.delete(key);
      else this.#jar.set(key, cookie);
    }
  }

  #cookieHeader(url) {
    return [...this.#jar.values()]
      .filter(({ host, path, attributes }) => host === url.hostname && url.pathname.startsWith(path) && (!attributes.secure || url.protocol === 'https:'))
      .map(({ name, value }) => `${name}=${value}`)
      .join('; ');
  }

  /** One request, no redirect followed: {url, status, headers, text}. */
  async request(target, { method = 'GET', form, json, headers = {}, site = 'none' } = {}) {
    const url = new URL(target);
    const body = json ? JSON.stringify(json) : form && new URLSearchParams(form).toString();
    const cookie = this.#cookieHeader(url);
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
    const answer = await new Promise((resolve, reject) => {
      const req = send(
        url,
        {
          method,
          ca: this.#ca.length > 0 ? this.#ca : undefined,
          timeout: TIMEOUT_MS,
          headers: {
            accept: 'text/html,application/xhtml+xml',
            'user-agent': 'Mozilla/5.0 (without a screen)',
            'sec-fetch-mode': 'navigate',
            'sec-fetch-dest': 'document',
            'sec-fetch-site': site,
            ...(cookie && { cookie }),
            ...(form && { origin: url.origin }),
            ...(body !== undefined && {
              'content-type': json ? 'application/json' : 'application/x-www-form-urlencoded',
              'content-length': Buffer.byteLength(body),
            }),
            ...headers,
          },
        },
        res => {
          let text = '';
          res.setEncoding('utf8').on('data', part => {
            if (text.length < BODY_MAX) text += part;
          });
          res.on('end', () => resolve({ url, method, status: res.statusCode, headers: res.headers, text }));
          res.on('error', reject);
        },
      );
      req.on('timeout', () => req.destroy(new Error(`no answer from ${url.origin} in time`)));
      req.on('error', reject);
      req.end(body);
    });
    this.#store(url, answer.headers['set-cookie'] ?? []);
    this.history.push(answer);
    return answer;
  }

  /** Opens a URL and follows redirects until one leads to a wanted place, which is not visited: that place. */
  async until(url, wanted) {
    let stop;
    await this.#follow(await this.request(url), location => wanted(location) && ((stop = location), true));
    if (!stop) throw new Error(`never led there: ${this.history.map(({ url: at, status, text }) => `${status} ${at} ${text.slice(0, 200)}`).join('\n')}`);
    return stop;
  }

  /** Follows the redirects of an answer. */
  async #follow(answer, stop = () => false) {
    let last = answer;
    for (let hop = 0; hop < HOPS_MAX; hop += 1) {
      const { location } = last.headers;
      if (last.status < 300 || last.status > 399 || !location) return last;
      const next = new URL(location, last.url);
      if (stop(next.href)) return last;
      const form = last.status === 307 && last.method === 'POST' ? {} : undefined;
      if (form) throw new Error('a form must not be sent on by a 307');
      last = await this.request(next, { site: next.origin === last.url.origin ? 'same-origin' : 'cross-site' });
    }
    throw new Error(`more than ${HOPS_MAX} redirects, at ${last.url}`);
  }

  /** Opens a URL and follows its redirects, but not to a place where `stop` says so. */
  async open(url, stop) {
    return this.#follow(await this.request(url), stop);
  }

  /** Sends the first form of a page and follows the redirects. */
  async submit(page, { fill = {}, deny = false, stop } = {}) {
    const [form] = formsOf(page.text, page.url);
    if (!form) throw new Error(`no form at ${page.url}`);
    const fields = { ...form.fields };
    for (const [name, value] of Object.entries(fill)) if (name in fields) fields[name] = value;
    const button = deny ? no(form.buttons) : yes(form.buttons);
    if (button?.name) fields[button.name] = button.value;
    return this.#follow(await this.request(form.action, { method: 'POST', form: fields, site: 'same-origin' }), stop);
  }

  /** Opens a URL and says yes to every page, until a page without a form. */
  async approve(url, { fill = {}, pages = 6 } = {}) {
    let page = await this.open(url);
    for (let at = 0; at < pages && formsOf(page.text, page.url).length > 0; at += 1) page = await this.submit(page, { fill });
    return page;
  }
}
