// A certified provider ends sessions: behind the browser's back, at the next refresh, and with a hint without asking again.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { cookies, person, signIn, startBrowser } from './support/browser.mjs';
import { until } from './support/processes.mjs';
import { SOON, startReplicas } from './support/replicas.mjs';

const IN = [200, 200];
const OUT = [401, 401];

/** Opens the application in a window of their own and signs `login` in. */
async function signedIn(browser, world, login) {
  const context = await person(browser, { secrets: world.secrets });
  const page = await context.newPage();
  await page.goto(world.publicUrl);
  await signIn(page, login, world.publicUrl);
  return { context, page, session: (await cookies(context, world.publicUrl)).doorward };
}

/** Signs out at the provider's own address, as somebody does who comes from another application. */
async function signOutAtTheProvider({ page }, world) {
  await page.goto(`${world.provider.issuer}/session/end`);
  await page.getByRole('button', { name: 'Yes, sign me out' }).click();
  await page.waitForURL(`${world.provider.issuer}/session/end/success**`);
}

describe('a provider that says by its server who is logged out', () => {
  let browser;
  before(async () => (browser = await startBrowser()));
  after(() => browser?.close());

  for (const names of ['the session', 'the subject']) {
    test(`and names ${names}`, async () => {
      const world = await startReplicas({
        client: (publicUrl) => ({
          backchannel_logout_uri: `${publicUrl}/_auth/backchannel-logout/test`,
          backchannel_logout_session_required: names === 'the session',
        }),
        provider: {
          configure: (settings) => {
            settings.features.backchannelLogout = { enabled: true };
          },
        },
      });
      try {
        const windows = [];
        for (const login of ['alice', 'alice', 'bob']) windows.push(await signedIn(browser, world, login));
        const [first, second, bob] = windows;
        for (const { session } of windows) assert.deepEqual(await world.statuses(session), IN);

        await signOutAtTheProvider(first, world);
        await until('both gateways to know', async () => (await world.statuses(first.session)).every((status) => status === 401), SOON);
        if (names === 'the subject') {
          await until('both gateways to know', async () => (await world.statuses(second.session)).every((status) => status === 401), SOON);
        } else {
          assert.deepEqual(await world.statuses(second.session), IN, 'another session of hers');
        }
        assert.deepEqual(await world.statuses(bob.session), IN, 'somebody else');

        await first.page.goto(world.publicUrl);
        assert.ok(await first.page.locator('input[name=login]').isVisible(), 'asked who it is');
        await signIn(first.page, 'alice', world.publicUrl);
        const again = (await cookies(first.context, world.publicUrl)).doorward;
        assert.deepEqual(await world.statuses(again), IN, 'a new session is not ended by what ended the old one');
        for (const { context } of windows) await context.close();
      } finally {
        await world.stop();
      }
    });
  }
});

describe('a provider that says nothing until it is asked', () => {
  let world;
  let browser;
  before(async () => {
    world = await startReplicas({
      env: { DOORWARD_SESSION__REVALIDATE: '1s' },
      provider: {
        configure: (settings) => {
          // whoever has a session gets one, and every one of them is good for one use
          settings.issueRefreshToken = async (_ctx, client) => client.grantTypeAllowed('refresh_token');
          settings.rotateRefreshToken = () => true;
          settings.features.rpInitiatedLogout = { enabled: true, logoutSource };
        },
      },
    });
    browser = await startBrowser();
  });
  after(async () => {
    await browser?.close();
    await world?.stop();
  });

  const refreshes = () => world.provider.asked.filter((request) => request === 'POST /token').length;

  test('is asked again and again while a session is used; when it has ended there, it has ended here', async () => {
    const [alice, bob] = [await signedIn(browser, world, 'alice'), await signedIn(browser, world, 'bob')];
    const before = refreshes();
    for (let tokens = before + 1; tokens <= before + 3; tokens++) {
      await until('another refresh', async () => {
        assert.equal((await alice.page.goto(world.publicUrl)).status(), 200);
        return refreshes() >= tokens;
      });
    }
    await signOutAtTheProvider(alice, world);
    const held = (await cookies(alice.context, world.publicUrl)).doorward;
    await until('her session to end', async () => (await world.statuses(held)).every((status) => status === 401), { seconds: 5 });
    assert.deepEqual(await world.statuses(alice.session), OUT, 'a copy from the beginning');
    assert.deepEqual(await world.statuses((await cookies(bob.context, world.publicUrl)).doorward), IN, 'somebody else');
    await alice.context.close();
    await bob.context.close();
  });

  test('is shown the ID token at a logout, and does not ask again whether it is meant', async () => {
    const { context, page, session } = await signedIn(browser, world, 'carol');
    const asked = page.waitForRequest((request) => request.url().startsWith(`${world.provider.issuer}/session/end?`));
    await page.goto(`${world.publicUrl}/_auth/logout`);
    const { searchParams } = new URL((await asked).url());
    assert.match(searchParams.get('id_token_hint'), /^[\w-]+\.[\w-]+\.[\w-]+$/);
    await page.waitForURL(`${world.publicUrl}/_auth/signed-out**`);
    await until('both gateways to know', async () => (await world.statuses(session)).every((status) => status === 401), SOON);
    await page.goto(world.publicUrl);
    assert.ok(await page.locator('input[name=login]').isVisible(), 'the provider has forgotten too');
    await context.close();
  });
});

/** The provider's page at a logout: whoever comes with an ID token of this person's is believed, everybody else is asked. */
async function logoutSource(ctx, form) {
  const { IdTokenHint: hint } = ctx.oidc.entities;
  const confirmed = hint?.payload.sub === ctx.oidc.session.accountId;
  const button = '<button type="submit" form="op.logoutForm" name="logout" value="yes">Yes, sign me out</button>';
  const yes = '<input type="hidden" name="logout" value="yes"></form>';
  ctx.body = confirmed
    ? `<!doctype html><title>Logging out</title>${form.replace('</form>', yes)}<script>document.forms[0].submit()</script>`
    : `<!doctype html><title>Log out?</title>${form}${button}`;
}
