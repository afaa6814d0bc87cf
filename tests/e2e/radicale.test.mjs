// A real application that takes the caller from a header: Radicale's calendars behind the gateway.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { person, sessionCookie, signIn, startBrowser } from './support/browser.mjs';
import { ask } from './support/http.mjs';
import { startRadicale } from './support/radicale.mjs';
import { startWorld } from './support/world.mjs';

const WHO = `<?xml version="1.0"?><propfind xmlns="DAV:"><prop><current-user-principal/></prop></propfind>`;
const CALENDAR = `<?xml version="1.0"?><mkcalendar xmlns="urn:ietf:params:xml:ns:caldav" xmlns:D="DAV:"><D:set><D:prop>
  <D:displayname>Work</D:displayname></D:prop></D:set></mkcalendar>`;
const QUERY = `<?xml version="1.0"?><c:calendar-query xmlns:c="urn:ietf:params:xml:ns:caldav" xmlns="DAV:"><prop><getetag/><c:calendar-data/></prop>
  <c:filter><c:comp-filter name="VCALENDAR"><c:comp-filter name="VEVENT"/></c:comp-filter></c:filter></c:calendar-query>`;
const EVENT = [
  'BEGIN:VCALENDAR', 'VERSION:2.0', 'PRODID:-//doorward//e2e//EN', 'BEGIN:VEVENT', 'UID:one', 'DTSTAMP:20261101T120000Z',
  'DTSTART:20261102T120000Z', 'DTEND:20261102T130000Z', 'SUMMARY:Meeting', 'END:VEVENT', 'END:VCALENDAR', '',
].join('\r\n');

describe('Radicale behind the gateway', () => {
  let radicale;
  let world;
  let alice;
  let bob;
  before(async () => {
    radicale = await startRadicale();
    world = await startWorld({ upstream: radicale.url, env: { DOORWARD_HEADERS__USER: 'X-Remote-User' } });
    alice = await sessionCookie(world.publicUrl, 'alice', { secrets: world.secrets });
    bob = await sessionCookie(world.publicUrl, 'bob', { secrets: world.secrets });
  });
  after(async () => {
    await world?.stop();
    await radicale?.stop();
  });
  const dav = (method, path, cookie, { headers = {}, body } = {}) =>
    ask(world.publicUrl + path, { method, body, headers: { cookie, 'content-type': 'application/xml', ...headers } });

  test('knows who is calling', async () => {
    for (const [cookie, name] of [[alice, 'alice'], [bob, 'bob']]) {
      const answer = await dav('PROPFIND', '/', cookie, { headers: { depth: '0' }, body: WHO });
      assert.equal(answer.status, 207);
      assert.match(answer.body, new RegExp(`<href>/${name}/</href>`));
    }
  });

  test('keeps calendars for their owner: MKCALENDAR, PUT, REPORT, DELETE', async () => {
    assert.equal((await dav('MKCALENDAR', '/alice/work/', alice, { body: CALENDAR })).status, 201);
    const put = await dav('PUT', '/alice/work/one.ics', alice, { headers: { 'content-type': 'text/calendar' }, body: EVENT });
    assert.equal(put.status, 201);
    const found = await dav('REPORT', '/alice/work/', alice, { headers: { depth: '1' }, body: QUERY });
    assert.equal(found.status, 207);
    assert.match(found.body, /SUMMARY:Meeting/);
    assert.equal((await dav('GET', '/alice/work/one.ics', bob)).status, 403, "nobody else's business");
    assert.equal((await dav('MKCALENDAR', '/bob/work/', alice, { body: CALENDAR })).status, 403);
    assert.equal((await dav('DELETE', '/alice/work/one.ics', alice)).status, 200);
  });

  // T-001, T-002, T-005
  test('a caller cannot name themselves', async () => {
    for (const forged of [
      { 'x-remote-user': 'admin' },
      { 'X-REMOTE-USER': 'admin' },
      { x_remote_user: 'admin' },
      { 'X-Remote_User': 'admin' },
      { 'x-remote-user': 'admin', connection: 'close, X-Remote-User' },
    ]) {
      const answer = await dav('PROPFIND', '/', alice, { headers: { depth: '0', ...forged }, body: WHO });
      assert.equal(answer.status, 207, JSON.stringify(forged));
      assert.match(answer.body, /<href>\/alice\/<\/href>/, JSON.stringify(forged));
      const made = await dav('MKCALENDAR', '/admin/work/', alice, { headers: forged, body: CALENDAR });
      assert.equal(made.status, 403, JSON.stringify(forged));
    }
  });

  test('without a session the header lets nobody in', async () => {
    for (const method of ['PROPFIND', 'MKCALENDAR', 'REPORT', 'GET', 'PUT', 'OPTIONS']) {
      const answer = await ask(`${world.publicUrl}/alice/`, { method, headers: { 'x-remote-user': 'alice' } });
      assert.equal(answer.status, 401, method);
      assert.equal(answer.headers['www-authenticate'], 'Bearer', method);
      assert.doesNotMatch(answer.body, /radicale|multistatus/i, method);
    }
  });

  test("its own pages work in a browser that signed in", async () => {
    const browser = await startBrowser();
    try {
      const page = await (await person(browser, { secrets: world.secrets })).newPage();
      await page.goto(`${world.publicUrl}/.web/`);
      await signIn(page, 'alice', world.publicUrl);
      assert.match(await page.title(), /Radicale/);
    } finally {
      await browser.close();
    }
  });
});
