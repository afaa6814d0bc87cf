// Signing out here and at the provider, and what is left afterwards: nothing.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';

import { cookies, person, received, signIn, startBrowser, values } from './support/browser.mjs';
import { NAVIGATION, ask } from './support/http.mjs';
import { startWorld } from './support/world.mjs';

describe('signing out', () => {
  let world;
  let browser;
  before(async () => {
    world = await startWorld();
    browser = await startBrowser();
  });
  after(async () => {
    await browser?.close();
    await world?.stop();
  });

  async function signedIn(login = 'alice') {
    const context = await person(browser, { secrets: world.secrets });
    const page = await context.newPage();
    await page.goto(world.publicUrl);
    await signIn(page, login, world.publicUrl);
    return { context, page, session: (await cookies(context, world.publicUrl)).doorward };
  }
  const withSession = ({ value }) => ask(`${world.publicUrl}/`, { headers: { cookie: `doorward=${value}` } });

  // T-058
  test('ends the session here, then at the provider; the old cookie is dead; signing in again asks who it is', async () => {
    const { context, page, session } = await signedIn();
    assert.equal((await withSession(session)).status, 200, 'alive before');

    await page.goto(`${world.publicUrl}/_auth/logout`);
    assert.equal(new URL(page.url()).origin, world.provider.issuer, 'the provider asks too');
    assert.equal((await withSession(session)).status, 401, 'dead here before the provider has answered');
    await page.getByRole('button', { name: 'Yes, sign me out' }).click();
    await page.waitForURL(`${world.publicUrl}/_auth/signed-out**`);
    assert.equal((await cookies(context, world.publicUrl)).doorward, undefined);

    const replay = await withSession(session);
    assert.equal(replay.status, 401);
    assert.equal(replay.headers['set-cookie'], undefined);
    const navigation = await ask(`${world.publicUrl}/`, { headers: { ...NAVIGATION, cookie: `doorward=${session.value}` } });
    assert.equal(navigation.status, 302);

    await page.goto(`${world.publicUrl}/again`);
    assert.ok(await page.locator('input[name=login]').isVisible(), 'the provider has forgotten too');
    await signIn(page, 'bob', world.publicUrl);
    assert.deepEqual(values(await received(page), 'x-user'), ['bob']);
    await context.close();
  });

  test("staying signed in at the provider still ends the session here", async () => {
    const { context, page, session } = await signedIn();
    await page.goto(`${world.publicUrl}/_auth/logout`);
    await page.getByRole('button', { name: 'No, stay signed in' }).click();
    await page.waitForURL(`${world.publicUrl}/_auth/signed-out**`);
    assert.equal((await withSession(session)).status, 401);
    await context.close();
  });

  test('one person signing out leaves everybody else signed in', async () => {
    const [first, second] = [await signedIn('alice'), await signedIn('alice')];
    await first.page.goto(`${world.publicUrl}/_auth/logout`);
    assert.equal((await withSession(first.session)).status, 401);
    assert.equal((await withSession(second.session)).status, 200);
    await first.context.close();
    await second.context.close();
  });

  // T-058
  test('another site cannot sign anybody out: an image does nothing, a link asks first', async () => {
    const elsewhere = http.createServer((_request, response) => {
      response.setHeader('content-type', 'text/html');
      response.end(`<!doctype html><title>elsewhere</title><img src="${world.publicUrl}/_auth/logout"><a href="${world.publicUrl}/_auth/logout">prize</a>`);
    });
    // `localhost` is another site than 127.0.0.1
    elsewhere.listen(0, '127.0.0.1');
    await once(elsewhere, 'listening');
    try {
      const { context, page, session } = await signedIn();
      await page.goto(`http://localhost:${elsewhere.address().port}/`, { waitUntil: 'load' });
      assert.equal((await withSession(session)).status, 200, 'an image signs nobody out');
      await page.getByRole('link', { name: 'prize' }).click();
      await page.waitForURL(`${world.publicUrl}/_auth/logout`);
      assert.equal((await withSession(session)).status, 200, 'a link asks first');
      await page.getByRole('button').first().click();
      await page.waitForURL((url) => url.origin === world.provider.issuer);
      assert.equal((await withSession(session)).status, 401, 'and does what the person says');
      await context.close();
    } finally {
      elsewhere.closeAllConnections();
      elsewhere.close();
    }
  });

  // T-053
  test('who am I: the name and no token, for this origin only', async () => {
    const { context, page } = await signedIn();
    const answer = await page.evaluate(async () => {
      const response = await fetch('/_auth/whoami', { headers: { origin: 'https://elsewhere.example' } });
      return { status: response.status, headers: Object.fromEntries(response.headers), body: await response.text() };
    });
    assert.equal(answer.status, 200);
    assert.match(answer.headers['cache-control'], /no-store/);
    assert.match(answer.headers['content-type'], /^application\/json/);
    assert.equal(answer.headers['access-control-allow-origin'], undefined);
    assert.match(answer.body, /"alice"/);
    assert.deepEqual(world.secrets.in(answer.body), []);
    assert.equal((await ask(`${world.publicUrl}/_auth/whoami`)).status, 401);
    await context.close();
  });
});
