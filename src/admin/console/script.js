// Keeps pages of the console true while they are looked at. Without it they are as they were when they were loaded.
'use strict';
(() => {
  const policy = window.trustedTypes?.createPolicy('portcullis', { createHTML: text => text });
  // What the server made is parsed into a document of its own, in which nothing runs.
  const parsed = text => new DOMParser().parseFromString(policy ? policy.createHTML(text) : text, 'text/html');
  const GATHER_MS = 250;
  const AGAIN_MS = 1_000;

  const words = ms => {
    const s = Math.round(Math.abs(ms) / 1000);
    const [n, unit] = s < 90 ? [s, 's'] : s < 5400 ? [Math.round(s / 60), 'min'] : s < 129600 ? [Math.round(s / 3600), 'h'] : [Math.round(s / 86400), 'd'];
    return ms < 0 ? `${n} ${unit} ago` : `in ${n} ${unit}`;
  };
  const sayTimes = () => {
    for (const time of document.querySelectorAll('time[datetime]')) {
      const at = Date.parse(time.dateTime);
      if (Number.isNaN(at)) continue;
      if (!time.title) time.title = time.textContent;
      time.textContent = words(at - Date.now());
    }
  };

  const announce = text => {
    const place = document.getElementById('announce');
    if (place && text) place.textContent = text;
  };

  // Somebody is writing there.
  const busy = region => {
    const at = document.activeElement;
    const written = [...region.querySelectorAll('textarea, input[type=text], input[type=search], input[type=number]')].some(field => field.value !== field.defaultValue);
    return written || region.querySelector('details[open]') || (region.contains(at) && /^(TEXTAREA|INPUT|SELECT|BUTTON)$/.test(at.tagName));
  };

  const refresh = async () => {
    let answer, text;
    try {
      answer = await fetch(location.href, { headers: { accept: 'text/html' }, redirect: 'error' });
      text = await answer.text();
    } catch {
      return;
    }
    if (answer.status === 401) {
      announce('Your session is over: load the page again to sign in.');
      return;
    }
    if (!answer.ok) return;
    const fresh = parsed(text);
    for (const region of document.querySelectorAll('[data-live]')) {
      const other = fresh.getElementById(region.id);
      if (!other || busy(region)) continue;
      const focused = region.contains(document.activeElement) ? document.activeElement.id : '';
      const before = region.dataset.says;
      const node = document.importNode(other, true);
      region.replaceWith(node);
      if (focused) document.getElementById(focused)?.focus();
      if (node.dataset.says !== before) announce(node.dataset.says);
    }
    sayTimes();
    document.body.dataset.refreshed = String(Number(document.body.dataset.refreshed ?? 0) + 1);
  };

  const pause = ms => new Promise(done => setTimeout(done, ms));
  let working = false;
  let more = false;
  // News that keep coming do not put it off: it is done once a while, and never twice at a time.
  const soon = async () => {
    more = true;
    if (working) return;
    working = true;
    await pause(GATHER_MS);
    while (more) {
      more = false;
      await refresh();
      await pause(AGAIN_MS);
    }
    working = false;
  };

  sayTimes();
  setInterval(sayTimes, 10_000);
  const url = document.body.dataset.events;
  if (url && 'EventSource' in window) {
    const events = new EventSource(url);
    let opened = false;
    events.onopen = () => {
      document.body.dataset.connected = 'yes';
      // What happened while nobody listened is not told again.
      if (opened) soon();
      opened = true;
    };
    events.onerror = () => delete document.body.dataset.connected;
    for (const kind of ['approval', 'record', 'lagged']) events.addEventListener(kind, soon);
    window.addEventListener('pagehide', () => events.close());
  }
})();
