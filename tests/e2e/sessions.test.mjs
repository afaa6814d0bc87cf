// People see where they are signed in and end what they do not know, with two gateways and a store between them.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { cookies, person, signIn, startBrowser } from './support/browser.mjs';
import { until } from './support/processes.mjs';
import { SOON, startReplicas } from './support/replicas.mjs';

const IN = [200, 200];
const FIREFOX = 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0';
const SAFARI =
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1';

describe('your sessions', () => {
  let world;
  let browser;
  before(async () => {
    world = await startReplicas();
    browser = await startBrowser();
  });
  after(async () => {
    await browser?.close();
    await world?.stop();
  });

  async function window(login, userAgent) {
    const context = await person(browser, { secrets: world.secrets, userAgent });
    const page = await context.newPage();
    await page.goto(world.publicUrl);
    await signIn(page, login, world.publicUrl);
    return { context, page, session: (await cookies(context, world.publicUrl)).doorward };
  }
  const isOut = ({ session }) =>
    until('both gateways to know', async () => (await world.statuses(session)).every((status) => status === 401), SOON);
  const listed = (page) => page.locator('ul.sessions > li');

  test('a session is ended from another window, on every gateway', async () => {
    const [desk, phone] = [await window('alice', FIREFOX), await window('alice', SAFARI)];
    const stranger = await window('bob', FIREFOX);

    await desk.page.goto(`${world.publicUrl}/_auth/sessions`);
    assert.equal(await listed(desk.page).count(), 2, 'hers and nobody else’s');
    const own = listed(desk.page).filter({ has: desk.page.locator('.own') });
    assert.match(await own.locator('h2').innerText(), /Firefox.*Linux/);
    const other = listed(desk.page).filter({ hasNot: desk.page.locator('.own') });
    assert.match(await other.locator('h2').innerText(), /Safari/);
    assert.match(await other.innerText(), /127\.0\.0\.1/);

    await other.getByRole('button').click();
    await desk.page.waitForLoadState();
    assert.equal(await listed(desk.page).count(), 1);
    await isOut(phone);
    await phone.page.goto(world.publicUrl);
    assert.equal(new URL(phone.page.url()).origin === world.publicUrl && (await phone.page.locator('#received').count()) === 1, true, 'the provider knows her still');
    assert.deepEqual(await world.statuses(desk.session), IN);
    assert.deepEqual(await world.statuses(stranger.session), IN);
    for (const { context } of [desk, phone, stranger]) await context.close();
  });

  test('all others, then everything', async () => {
    const windows = [await window('carol', FIREFOX), await window('carol', SAFARI), await window('carol', SAFARI)];
    const [desk, ...others] = windows;
    await desk.page.goto(`${world.publicUrl}/_auth/sessions`);
    await desk.page.getByRole('button', { name: 'End all others' }).click();
    await desk.page.waitForLoadState();
    for (const other of others) await isOut(other);
    assert.deepEqual(await world.statuses(desk.session), IN);

    const phone = await window('carol', SAFARI);
    await desk.page.goto(`${world.publicUrl}/_auth/sessions`);
    assert.equal(await listed(desk.page).count(), 2);
    await desk.page.getByRole('button', { name: 'Sign out everywhere' }).click();
    await isOut(desk);
    await isOut(phone);
    assert.equal((await cookies(desk.context, world.publicUrl)).doorward, undefined);
    for (const { context } of [...windows, phone]) await context.close();
  });

  test('another site ends nothing', async () => {
    const alice = await window('alice', FIREFOX);
    const elsewhere = await alice.context.newPage();
    await elsewhere.route('http://elsewhere.test/', (route) =>
      route.fulfill({
        contentType: 'text/html',
        body: `<!doctype html><form method="post" action="${world.publicUrl}/_auth/sessions"><input name="all" value="everything"><button>Prize</button></form>`,
      }),
    );
    await elsewhere.goto('http://elsewhere.test/');
    await elsewhere.getByRole('button', { name: 'Prize' }).click();
    await elsewhere.waitForLoadState();
    assert.deepEqual(await world.statuses(alice.session), IN);
    await alice.context.close();
  });
});
