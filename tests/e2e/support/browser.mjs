// People: with a real browser, or without one where only their cookie matters.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';

import { chromium, request } from 'playwright-core';

const EXECUTABLE = process.env.CHROMIUM ?? '/usr/bin/chromium';
/** How long a person waits before giving up. */
const PATIENCE = 15_000;

/** Starts Chromium. It reaches this machine and nothing else; the names under `.test` are this machine too. */
export async function startBrowser() {
  assert.ok(existsSync(EXECUTABLE), `no Chromium at ${EXECUTABLE}: apt-get install chromium, or set CHROMIUM`);
  return chromium.launch({
    executablePath: EXECUTABLE,
    args: [
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--host-resolver-rules=MAP *.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1',
    ],
  });
}

/** A person with cookies of their own. What their browser receives and sends is handed to `secrets`. */
export async function person(browser, { secrets, ...options } = {}) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(PATIENCE);
  if (secrets) {
    context.on('request', (asking) => {
      const { searchParams } = new URL(asking.url());
      for (const name of ['code', 'state', 'nonce', 'id_token_hint']) secrets.add(name, searchParams.get(name));
    });
    context.on('response', async (response) => {
      // a page that has moved on no longer tells its headers, which then hold nothing new
      for (const { name, value } of await response.headersArray().catch(() => [])) {
        if (name.toLowerCase() === 'set-cookie') secrets.add('cookie', value.split(';')[0].split('=').slice(1).join('='));
      }
    });
  }
  return context;
}

/** Fills in the provider's own pages as `login` and returns when the browser is back at `home`. */
export async function signIn(page, login, home) {
  // a tab in the background is drawn once a second, and a click waits for it to be drawn
  await page.bringToFront();
  await page.locator('input[name=login]').fill(login);
  await page.locator('input[name=password]').fill('any password');
  await page.getByRole('button', { name: 'Sign-in' }).click();
  // the provider asks for consent once, then remembers it for its session
  const consent = page.locator('input[name=prompt][value=consent]');
  const back = page.waitForURL((url) => url.origin === home);
  const asked = await Promise.race([back.then(() => false), consent.waitFor({ state: 'attached' }).then(() => true, () => false)]);
  if (asked) await page.getByRole('button', { name: 'Continue' }).click();
  await back;
  await page.waitForLoadState();
}

/** What the application received for the page on show. */
export async function received(page) {
  return JSON.parse(await page.locator('#received').textContent());
}

/** Every value of a header in such a record, whatever its case. */
export const values = ({ fields }, name) => fields.filter(([field]) => field.toLowerCase() === name.toLowerCase()).map(([, value]) => value);

/** The gateway's cookies that the browser holds now, by name. */
export async function cookies(context, url) {
  const held = await context.cookies(url);
  return Object.fromEntries(held.filter(({ name }) => name.includes('doorward')).map((cookie) => [cookie.name, cookie]));
}

/** A client with cookies and no screen, for what other programs do, and for stopping where a browser would go on. */
const clientWithoutBrowser = (options) => request.newContext({ extraHTTPHeaders: { accept: 'text/html' }, timeout: PATIENCE, ...options });

/**
 * Signs in at `publicUrl` through the provider's forms without a browser and returns the session as a `Cookie` header,
 * for tests of what other programs do with it.
 */
export async function sessionCookie(publicUrl, login, { secrets, ...options } = {}) {
  const client = await clientWithoutBrowser(options);
  try {
    const consent = await answerLoginForm(client, loginOf(publicUrl), login);
    const home = await client.post(consent.url(), { form: { prompt: 'consent' } });
    assert.equal(new URL(home.url()).origin, publicUrl, `not back at the gateway but at ${home.url()}: ${await home.text()}`);
    const { cookies: held } = await client.storageState();
    const session = held.find(({ name }) => name === 'doorward' || name === '__Host-doorward');
    assert.ok(session, `no session cookie; the answer was ${home.status()} ${await home.text()}`);
    secrets?.add('cookie', session.value);
    return `${session.name}=${session.value}`;
  } finally {
    await client.dispose();
  }
}

/** Signs in likewise but stops before the gateway learns anything: the callback with a code that is still good. */
export const unusedCallback = (publicUrl, login) => callbackFrom(loginOf(publicUrl), login);

/** Where the provider sends whoever begins at `start`, signs in there as `login` and agrees to everything. */
export async function callbackFrom(start, login) {
  const client = await clientWithoutBrowser();
  try {
    const consent = await answerLoginForm(client, start, login);
    const authorization = await client.post(consent.url(), { form: { prompt: 'consent' }, maxRedirects: 0 });
    const callback = await client.get(authorization.headers().location, { maxRedirects: 0 });
    return callback.headers().location;
  } finally {
    await client.dispose();
  }
}

const loginOf = (publicUrl) => `${publicUrl}/_auth/login?rd=/`;

async function answerLoginForm(client, start, login) {
  const form = await client.get(start);
  assert.match(form.url(), /\/interaction\//, `not at the provider but at ${form.url()}: ${form.status()} ${await form.text()}`);
  return client.post(form.url(), { form: { prompt: 'login', login, password: 'any password' } });
}
