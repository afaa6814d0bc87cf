// Signing in, as people do it: a real browser, a certified provider's own pages, and an application that shows what it was told.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { cookies, person, received, signIn, startBrowser, unusedCallback, values } from './support/browser.mjs';
import { ask } from './support/http.mjs';
import { startWorld } from './support/world.mjs';

describe('signing in', () => {
  let world;
  let browser;
  before(async () => {
    world = await startWorld({ env: { DOORWARD_HEADERS__CLAIMS__X_EMAIL: 'email', DOORWARD_PROVIDERS__TEST__SCOPES: 'openid,email' } });
    browser = await startBrowser();
  });
  after(async () => {
    await browser?.close();
    await world?.stop();
  });
  /** A person nobody knows yet. */
  const stranger = (options) => person(browser, { secrets: world.secrets, ...options });

  test('a deep link survives the sign-in byte for byte, and the application learns who is calling', async () => {
    const link = '/reports/2026?month=11&tag=a%2Fb;c&empty=&q=%C3%A4+x';
    const context = await stranger();
    await context.addCookies([{ name: 'theme', value: 'dark="1",x', url: world.publicUrl }]);
    const page = await context.newPage();
    await page.goto(world.publicUrl + link);
    assert.equal(new URL(page.url()).origin, world.provider.issuer, 'a stranger is sent to the provider');
    await signIn(page, 'alice', world.publicUrl);

    assert.equal(page.url(), world.publicUrl + link);
    const seen = await received(page);
    assert.equal(seen.target, link);
    assert.deepEqual(values(seen, 'x-user'), ['alice']);
    assert.deepEqual(values(seen, 'x-email'), ['alice@example.com']);
    assert.deepEqual(values(seen, 'cookie'), ['theme=dark="1",x'], "the application's cookies and no others");
    assert.equal(world.application.seen.filter(({ target }) => target === link).length, 1, 'asked for once, by a known person');
    await context.close();
  });

  test('the session cookie is small, opaque and kept from scripts and other sites', async () => {
    const context = await stranger();
    const page = await context.newPage();
    await page.goto(world.publicUrl);
    await signIn(page, 'alice', world.publicUrl);

    const { doorward: session } = await cookies(context, world.publicUrl);
    assert.ok(session, 'the cookie is called `doorward` on loopback http');
    assert.equal(session.httpOnly, true);
    assert.equal(session.sameSite, 'Lax');
    assert.equal(session.path, '/');
    assert.equal(session.domain, '127.0.0.1', 'this host only, no Domain attribute');
    // the contract's 192 bytes are for an identifier alone; here one claim is carried as well
    assert.ok(session.name.length + session.value.length <= 1024, `${session.value.length} bytes`);
    assert.doesNotMatch(Buffer.from(session.value, 'base64url').toString('latin1'), /alice|eyJ/);
    assert.equal(await page.evaluate(() => document.cookie), '');
    await context.close();
  });

  // T-001, T-002, T-004 from a browser that is signed in
  test('nobody else speaks for the gateway in an identity header', async () => {
    const context = await stranger();
    const page = await context.newPage();
    await page.goto(world.publicUrl);
    await signIn(page, 'alice', world.publicUrl);
    await context.setExtraHTTPHeaders({ 'X-User': 'admin', X_User: 'admin', 'x-email': 'admin@example.com', 'X-EMAIL': 'root@example.com' });
    await page.goto(`${world.publicUrl}/forged`);

    const seen = await received(page);
    assert.deepEqual(values(seen, 'x-user'), ['alice']);
    assert.deepEqual(values(seen, 'x_user'), []);
    assert.deepEqual(values(seen, 'x-email'), ['alice@example.com']);
    await context.close();
  });

  test('two tabs opened at once both land on their own page', async () => {
    const context = await stranger();
    const [left, right] = await Promise.all([context.newPage(), context.newPage()]);
    await Promise.all([left.goto(`${world.publicUrl}/left?1`), right.goto(`${world.publicUrl}/right?2`)]);
    await signIn(left, 'alice', world.publicUrl);
    await signIn(right, 'alice', world.publicUrl);
    assert.equal(left.url(), `${world.publicUrl}/left?1`);
    assert.equal(right.url(), `${world.publicUrl}/right?2`);
    await context.close();
  });

  // a browser that restores its windows asks for all of them before it has any answer, so each brings a login cookie: the last one stays
  test('two tabs that began before the browser had a login cookie both land on their own page', async () => {
    const context = await stranger();
    const [left, right] = [await context.newPage(), await context.newPage()];
    await left.goto(`${world.publicUrl}/left?1`);
    await context.clearCookies({ domain: '127.0.0.1', name: 'doorward-login' });
    await right.goto(`${world.publicUrl}/right?2`);
    await signIn(left, 'alice', world.publicUrl);
    assert.equal(left.url(), `${world.publicUrl}/left?1`);
    await signIn(right, 'alice', world.publicUrl);
    assert.equal(right.url(), `${world.publicUrl}/right?2`);
    await context.close();
  });

  // T-044
  test('tabs that finish in reverse order all land on their own pages and leave no pile of cookies', async () => {
    const context = await stranger();
    const tabs = [];
    for (let number = 0; number < 5; number++) {
      const page = await context.newPage();
      await page.goto(`${world.publicUrl}/tab/${number}?n=${number}`);
      tabs.push(page);
      // what browsers and scripts ask for in between must not disturb the logins in progress
      assert.equal((await context.request.get(`${world.publicUrl}/favicon.ico`, { maxRedirects: 0 })).status(), 401);
    }
    const during = Object.keys(await cookies(context, world.publicUrl));
    assert.deepEqual(during, ['doorward-login'], 'one login cookie, however many tabs');
    for (const [number, page] of [...tabs.entries()].reverse()) {
      await signIn(page, 'alice', world.publicUrl);
      assert.equal(page.url(), `${world.publicUrl}/tab/${number}?n=${number}`);
      assert.deepEqual(values(await received(page), 'x-user'), ['alice']);
    }
    await context.close();
  });

  // T-041
  test("a callback in a browser that did not ask gets no session, and its code is not spent", async () => {
    const callback = await unusedCallback(world.publicUrl, 'mallory');
    assert.match(callback, /\/_auth\/callback\/test\?.*code=/);
    const victim = await stranger();

    const spent = world.provider.asked.filter((line) => line === 'POST /token').length;
    const lured = await victim.newPage();
    const answer = await lured.goto(callback);
    assert.equal(Math.floor(answer.status() / 100), 4, `${answer.status()}`);
    assert.equal((await cookies(victim, world.publicUrl)).doorward, undefined);
    assert.equal(world.provider.asked.filter((line) => line === 'POST /token').length, spent, 'the provider was not asked');
    // the page is a way on, not a dead end
    await lured.getByRole('link', { name: /sign in|try again|again/i }).first().click();
    await lured.waitForURL((url) => url.origin === world.provider.issuer);
    await victim.close();
  });

  // T-125
  test('a browser that keeps no cookies gets an explanation, not a circle of redirects', async () => {
    const context = await stranger();
    const page = await context.newPage();
    await page.goto(world.publicUrl);
    await context.clearCookies({ domain: '127.0.0.1' });
    const redirects = [];
    page.on('request', (request) => request.isNavigationRequest() && redirects.push(request.url()));
    await signIn(page, 'alice', world.publicUrl);
    assert.match(page.url(), /_auth\/callback/);
    assert.match(await page.getByRole('main').innerText(), /cookie/i);
    assert.equal(redirects.filter((url) => url.startsWith(world.publicUrl)).length, 1, redirects.join('\n'));
    await context.close();
  });

  // T-043
  test('somebody who cancels at the provider is told so and can try again', async () => {
    const context = await stranger();
    const page = await context.newPage();
    await page.goto(`${world.publicUrl}/wanted`);
    const [answer] = await Promise.all([
      page.waitForResponse((response) => response.url().includes('/_auth/callback/')),
      page.getByRole('link', { name: 'Cancel' }).click(),
    ]);
    assert.equal(Math.floor(answer.status() / 100), 4, `${answer.status()}`);
    assert.equal((await cookies(context, world.publicUrl)).doorward, undefined);
    await page.getByRole('link', { name: /sign in|try again|again/i }).first().click();
    await page.waitForURL((url) => url.origin === world.provider.issuer);
    await signIn(page, 'alice', world.publicUrl);
    assert.deepEqual(values(await received(page), 'x-user'), ['alice']);
    await context.close();
  });

  // T-047
  test('the callback once more, by the back button, leads to the page and spends no code twice', async () => {
    const context = await stranger();
    const page = await context.newPage();
    const [callback] = await Promise.all([
      page.waitForRequest((request) => request.url().includes('/_auth/callback/')),
      page.goto(`${world.publicUrl}/kept?x=1`).then(() => signIn(page, 'alice', world.publicUrl)),
    ]);
    const spent = world.provider.asked.filter((line) => line === 'POST /token').length;
    await page.goto(callback.url());
    assert.equal(page.url(), `${world.publicUrl}/kept?x=1`);
    assert.equal(world.provider.asked.filter((line) => line === 'POST /token').length, spent);
    await context.close();
  });

  // T-052
  test('when another person signs in, the first session is gone', async () => {
    const context = await stranger();
    const page = await context.newPage();
    await page.goto(world.publicUrl);
    await signIn(page, 'alice', world.publicUrl);
    const before = (await cookies(context, world.publicUrl)).doorward;
    // the provider forgets alice; its cookies are those of `localhost`
    await context.clearCookies({ domain: 'localhost' });
    await page.goto(`${world.publicUrl}/_auth/login?rd=/`);
    await signIn(page, 'bob', world.publicUrl);
    assert.deepEqual(values(await received(page), 'x-user'), ['bob']);
    const replay = await ask(`${world.publicUrl}/`, { headers: { cookie: `doorward=${before.value}` } });
    assert.equal(replay.status, 401);
    await context.close();
  });

  // T-109, T-110
  test('a page whose session has ended: scripts get 401, a form is not sent elsewhere, and Back restores what was typed', async () => {
    const context = await stranger();
    const page = await context.newPage();
    await page.goto(`${world.publicUrl}/form`);
    await signIn(page, 'alice', world.publicUrl);
    await page.locator('input[name=note]').fill('a long text');
    await context.clearCookies({ domain: '127.0.0.1' });

    const fetched = await page.evaluate(async () => {
      const answer = await fetch('/data', { redirect: 'manual' });
      return { status: answer.status, authenticate: answer.headers.get('www-authenticate'), type: answer.headers.get('content-type') };
    });
    assert.deepEqual(fetched, { status: 401, authenticate: 'Bearer', type: 'application/problem+json' });
    assert.deepEqual(await cookies(context, world.publicUrl), {}, 'no login was started for a script');

    const [answer] = await Promise.all([
      page.waitForResponse((response) => response.url().endsWith('/saved')),
      page.getByRole('button', { name: 'Save' }).click(),
    ]);
    assert.equal(answer.status(), 401);
    assert.ok(!world.application.seen.some(({ target }) => target === '/saved'), 'the application never sees it');
    await page.waitForLoadState();
    await page.goBack();
    assert.equal(await page.locator('input[name=note]').inputValue(), 'a long text');
    await context.close();
  });
});

describe('an identifier alone', () => {
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

  for (const login of ['alice', 'a'.repeat(32)]) {
    test(`of ${login.length} bytes makes a cookie of at most 192`, async () => {
      const context = await person(browser, { secrets: world.secrets });
      const page = await context.newPage();
      await page.goto(world.publicUrl);
      await signIn(page, login, world.publicUrl);
      assert.deepEqual(values(await received(page), 'x-user'), [login]);
      const { doorward: session } = await cookies(context, world.publicUrl);
      const bytes = session.name.length + session.value.length;
      assert.ok(bytes <= 192, `${bytes} bytes`);
      await context.close();
    });
  }
});
