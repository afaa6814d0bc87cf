// T-115: nothing secret in the log at any level, however a login goes. Every other file checks this for what it does; here is what goes wrong.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { person, sessionCookie, signIn, startBrowser } from './support/browser.mjs';
import { NAVIGATION, ask } from './support/http.mjs';
import { Secrets } from './support/secrets.mjs';
import { startWorld } from './support/world.mjs';

describe('the log', () => {
  let browser;
  before(async () => (browser = await startBrowser()));
  after(() => browser?.close());

  for (const filter of ['debug', 'trace']) {
    test(`at ${filter} holds no code, state, token, cookie, secret, nonce or verifier, and no address of a person`, async () => {
      const world = await startWorld({ env: { DOORWARD_LOG__FILTER: filter } });
      try {
        const context = await person(browser, { secrets: world.secrets });
        const page = await context.newPage();
        const [callback] = await Promise.all([
          page.waitForRequest((request) => request.url().includes('/_auth/callback/')),
          page.goto(`${world.publicUrl}/page?q=1`).then(() => signIn(page, 'alice', world.publicUrl)),
        ]);
        await everythingThatIsRefused(world, new URL(callback.url()));
        await page.goto(`${world.publicUrl}/_auth/logout`);
        await context.close();
        await sessionCookie(world.publicUrl, 'bob', { secrets: world.secrets });

        for (const kind of ['code', 'state', 'nonce', 'code verifier', 'access_token', 'id_token', 'cookie', 'client secret', 'session key']) {
          assert.ok(world.secrets.kinds().has(kind), `looked for a ${kind}`);
        }
        assert.ok(world.gateway.log.length > 1000, 'there is a log to look at');
        assert.doesNotMatch(world.gateway.log, /@example\.com/, 'personal data');
      } finally {
        await world.stop();
      }
    });
  }

  /** Secrets in places where they are not welcome: all of it is refused, and refusals are what gets logged. */
  async function everythingThatIsRefused(world, callback) {
    const { code, state } = Object.fromEntries(callback.searchParams);
    const target = (params) => `${world.publicUrl}${callback.pathname}?${new URLSearchParams(params)}`;
    const bearer = `made-up-${'token'.repeat(8)}`;
    world.secrets.add('made-up token', bearer);
    world.secrets.add('made-up code', 'made-up-code-of-some-length');
    const basic = Buffer.from('someone:their-own-password').toString('base64');
    world.secrets.add('password', basic);
    for (const [url, options] of [
      [target({ code, state }), {}],
      [target({ code, state: `${state}x` }), { headers: NAVIGATION }],
      [target({ code: 'made-up-code-of-some-length', state }), { headers: NAVIGATION }],
      [target({ code }), { headers: NAVIGATION }],
      [target({ code, state, iss: 'https://elsewhere.example' }), { headers: NAVIGATION }],
      [target({ error: 'access_denied', state }), { headers: NAVIGATION }],
      [`${world.publicUrl}${callback.pathname}`, { method: 'POST', body: `${callback.searchParams}`, headers: { 'content-type': 'application/x-www-form-urlencoded' } }],
      [target({ code, state }).replace('/callback/test', '/callback/elsewhere'), { headers: NAVIGATION }],
      [`${world.publicUrl}/`, { headers: { authorization: `Bearer ${bearer}` } }],
      [`${world.publicUrl}/`, { headers: { authorization: `Basic ${basic}` } }],
      [`${world.publicUrl}/?access_token=${bearer}`, {}],
      [`${world.publicUrl}/`, { headers: { cookie: `doorward=${state}; doorward-login=${state}` } }],
    ]) {
      const { status, headers } = await ask(url, options);
      assert.ok(status >= 400 || [302, 303].includes(status), `${status} ${url}`);
      assert.doesNotMatch(`${headers['set-cookie']}`, /doorward=[^;]/, 'nobody is signed in by any of this');
    }
  }

  test('the search finds what is there: whole, in part, encoded', () => {
    const secrets = new Secrets();
    const value = 'aZ0-_aZ1-_aZ2/+aZ3-_aZ4';
    secrets.add('sample', value);
    for (const [text, found] of [
      [`code=${value}`, true],
      [`code="${value.slice(3, 20)}…"`, true],
      [encodeURIComponent(value), true],
      [Buffer.from(value).toString('base64'), true],
      ['code=[secret]', false],
      [value.slice(0, 12), false],
    ]) {
      assert.equal(secrets.in(`before ${text} after`).length > 0, found, text);
    }
  });
});
