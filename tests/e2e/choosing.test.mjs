// Several ways to sign in: a person types an address, and its domain says which.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { person, received, signIn, startBrowser, values } from './support/browser.mjs';
import { startWorld } from './support/world.mjs';

const TEST = 'DOORWARD_PROVIDERS__TEST__';
const OTHER = 'DOORWARD_PROVIDERS__OTHER__';

describe('choosing a provider', () => {
  let world;
  let browser;
  before(async () => {
    world = await startWorld({
      env: {
        [`${TEST}DISPLAY_NAME`]: 'Example Inc.',
        [`${TEST}SCOPES`]: 'openid,email',
        [`${TEST}EMAIL_DOMAINS`]: 'example.com',
        // another registration at the same place, for other people; nobody gets as far as its client identifier here
        [`${OTHER}DISPLAY_NAME`]: 'Partners',
        [`${OTHER}ISSUER`]: 'http://localhost:1',
        [`${OTHER}CLIENT_ID`]: 'nobody',
        [`${OTHER}USER_PREFIX`]: 'partner:',
        [`${TEST}USER_PREFIX`]: 'staff:',
      },
    });
    browser = await startBrowser();
  });
  after(async () => {
    await browser?.close();
    await world?.stop();
  });

  test('by a typed address, on a small screen, with the keyboard', async () => {
    const context = await person(browser, { secrets: world.secrets, viewport: { width: 320, height: 640 } });
    const page = await context.newPage();
    await page.goto(`${world.publicUrl}/deep?x=1`);
    const address = page.getByLabel('Your e-mail address');
    await address.fill('somebody@nowhere.example');
    await address.press('Enter');
    await page.waitForURL(/login_hint=/);
    assert.match(await page.locator('#problem').textContent(), /None of these is meant for addresses like this one/);
    assert.equal(await address.inputValue(), 'somebody@nowhere.example', 'what was typed is kept');
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'nothing to scroll sideways');

    await address.fill('Alice@Example.com');
    await address.press('Enter');
    await signIn(page, 'alice', world.publicUrl);
    assert.equal(page.url(), `${world.publicUrl}/deep?x=1`);
    assert.deepEqual(values(await received(page), 'x-user'), ['staff:alice']);
    await context.close();
  });

  test('by a button', async () => {
    const context = await person(browser, { secrets: world.secrets });
    const page = await context.newPage();
    await page.goto(world.publicUrl);
    await page.getByRole('link', { name: 'Example Inc.' }).click();
    await signIn(page, 'alice', world.publicUrl);
    assert.deepEqual(values(await received(page), 'x-user'), ['staff:alice']);
    await context.close();
  });
});
