// When the others fail, and when the gateway itself is told to end: people who are signed in should hardly notice.

import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';

import { cookies, person, received, sessionCookie, signIn, startBrowser, values } from './support/browser.mjs';
import { newKey } from './support/gateway.mjs';
import { NAVIGATION, ask } from './support/http.mjs';
import { soon, until } from './support/processes.mjs';
import { startWorld } from './support/world.mjs';

describe('outages', () => {
  let browser;
  before(async () => (browser = await startBrowser()));
  after(() => browser?.close());

  // T-118
  test('a provider that is down at the start: the gateway is up, sign-in says so, and works as soon as the provider does', async () => {
    const world = await startWorld({ providerUp: false, env: { DOORWARD_LIMITS__PROVIDER_MIN_INTERVAL: '2s' } });
    try {
      assert.equal((await ask(`${world.address.admin}/livez`)).status, 200);
      assert.equal((await ask(`${world.address.admin}/readyz`)).status, 200);

      const login = await ask(`${world.publicUrl}/_auth/login?rd=/`, { headers: NAVIGATION });
      assert.equal(login.status, 503);
      const retryAfter = Number(login.headers['retry-after']);
      assert.ok(retryAfter >= 1 && retryAfter <= 60, `Retry-After: ${login.headers['retry-after']}`);
      assert.match(login.headers['content-type'], /^text\/html/);
      assert.match(login.headers['cache-control'], /no-store/);
      const script = await ask(`${world.publicUrl}/data`);
      assert.equal(script.status, 401, 'what is not a sign-in is answered as always');

      await world.startProvider({ port: world.provider.port });
      const context = await person(browser, { secrets: world.secrets });
      const page = await context.newPage();
      // the gateway asks again only after a while, as it said, but needs no restart
      await until('sign-in to work', async () => {
        await page.goto(`${world.publicUrl}/late`);
        return new URL(page.url()).origin === world.provider.issuer;
      }, { seconds: retryAfter + 3 });
      await signIn(page, 'alice', world.publicUrl);
      assert.deepEqual(values(await received(page), 'x-user'), ['alice']);
      await context.close();
    } finally {
      await world.stop();
    }
  });

  // T-119
  test('a provider that goes down later: sessions live on and nobody asks it anything', async () => {
    const world = await startWorld();
    try {
      const cookie = await sessionCookie(world.publicUrl, 'alice', { secrets: world.secrets });
      const asked = world.provider.asked.length;
      for (let n = 0; n < 10; n++) assert.equal((await ask(`${world.publicUrl}/${n}`, { headers: { cookie } })).status, 200);
      assert.equal(world.provider.asked.length, asked, 'requests of a known person cost the provider nothing');
      await world.provider.stop();
      for (let n = 0; n < 10; n++) assert.equal((await ask(`${world.publicUrl}/${n}`, { headers: { cookie } })).status, 200);
      const login = await ask(`${world.publicUrl}/_auth/login?rd=/`, { headers: NAVIGATION });
      // it takes requests ahead of the browser, so it has to be there
      assert.equal(login.status, 503);
      assert.ok(Number(login.headers['retry-after']) > 0);
    } finally {
      await world.stop();
    }
  });

  test('new signing keys at the provider: the next sign-in works, without a restart', async () => {
    // keys are fetched at most once per interval, lest made-up key ids make us ask for ever: the interval passes here in a second
    const world = await startWorld({ env: { DOORWARD_LIMITS__PROVIDER_MIN_INTERVAL: '1s' } });
    try {
      const old = await sessionCookie(world.publicUrl, 'alice', { secrets: world.secrets });
      await world.provider.stop();
      await world.startProvider({ port: world.provider.port });
      const cookie = await until('a sign-in', () => sessionCookie(world.publicUrl, 'bob', { secrets: world.secrets }), { seconds: 10 });
      assert.equal((await ask(`${world.publicUrl}/`, { headers: { cookie } })).status, 200);
      assert.equal((await ask(`${world.publicUrl}/`, { headers: { cookie: old } })).status, 200, 'and nobody is logged out by it');
    } finally {
      await world.stop();
    }
  });

  test("an application that is down is the application's fault, said on a page with an id that the log has too", async () => {
    const world = await startWorld();
    try {
      const context = await person(browser, { secrets: world.secrets });
      const page = await context.newPage();
      await page.goto(world.publicUrl);
      await signIn(page, 'alice', world.publicUrl);
      await world.application.stop();
      const answer = await page.goto(`${world.publicUrl}/gone`);
      assert.ok([502, 504].includes(answer.status()), `${answer.status()}`);
      assert.ok((await cookies(context, world.publicUrl)).doorward, 'nobody is logged out by it');
      const { doorward } = await cookies(context, world.publicUrl);
      const told = await ask(`${world.publicUrl}/gone`, { headers: { cookie: `doorward=${doorward.value}` } });
      assert.equal(told.headers['content-type'], 'application/problem+json');
      const problem = JSON.parse(told.body);
      assert.equal(problem.status, told.status);
      await until('the same id in the log', () => world.gateway.log.includes(problem.request_id), { seconds: 5 });
      await context.close();
    } finally {
      await world.stop();
    }
  });

  // T-122
  test('SIGTERM: readiness turns first, a request in flight finishes, then the process ends well', async () => {
    const world = await startWorld();
    try {
      const cookie = await sessionCookie(world.publicUrl, 'alice', { secrets: world.secrets });
      const request = http.get(`${world.publicUrl}/events`, { agent: false, headers: { cookie } });
      const [response] = await soon(request, 'response');
      const [stream] = world.application.streams;

      world.gateway.child.kill('SIGTERM');
      await until('readiness to turn', async () => (await ask(`${world.address.admin}/readyz`)).status === 503, { seconds: 5 });
      assert.equal(world.gateway.exit, undefined, 'still here for the request in flight');
      stream.end('data: the end\n\n');
      assert.equal(Buffer.concat(await response.toArray()).toString(), 'data: the end\n\n');
      assert.deepEqual(await world.gateway.ended, { code: 0, signal: null });
    } finally {
      await world.stop();
    }
  });

  // T-077
  test('a session outlives a restart with the same key, and a new key beside the old one', async () => {
    const world = await startWorld();
    try {
      const cookie = await sessionCookie(world.publicUrl, 'alice', { secrets: world.secrets });
      for (const [what, env, status] of [
        ['the same key', {}, 200],
        ['a new key, the old one still opens', { DOORWARD_SESSION__KEY: newKey(), DOORWARD_SESSION__PREVIOUS_KEYS: world.key }, 200],
        ['a new key alone', { DOORWARD_SESSION__KEY: newKey() }, 401],
      ]) {
        await world.stopGateway();
        await world.startGateway(env);
        assert.equal((await ask(`${world.publicUrl}/`, { headers: { cookie } })).status, status, what);
      }
    } finally {
      await world.stop();
    }
  });
});
