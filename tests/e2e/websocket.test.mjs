// Upgrades: a WebSocket reaches the application when its caller is signed in, and nothing does when not.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { WebSocket } from 'ws';

import { person, sessionCookie, signIn, startBrowser } from './support/browser.mjs';
import { soon } from './support/processes.mjs';
import { startWorld } from './support/world.mjs';

describe('a WebSocket through the gateway', () => {
  let world;
  before(async () => (world = await startWorld()));
  after(() => world?.stop());
  const address = () => `${world.publicUrl.replace('http', 'ws')}/socket?room=1`;

  test('opens for a signed-in page and carries text and binary both ways', async () => {
    const browser = await startBrowser();
    try {
      const page = await (await person(browser, { secrets: world.secrets })).newPage();
      await page.goto(world.publicUrl);
      await signIn(page, 'alice', world.publicUrl);
      const echoed = await page.evaluate(async (url) => {
        const socket = new WebSocket(url);
        socket.binaryType = 'arraybuffer';
        const opened = new Promise((resolve, reject) => {
          socket.onopen = resolve;
          socket.onerror = () => reject(new Error('the socket did not open'));
        });
        await opened;
        const answers = [];
        for (const message of ['hello', '', 'ä'.repeat(70_000), new Uint8Array(100_000).fill(7)]) {
          const answer = new Promise((resolve) => (socket.onmessage = resolve));
          socket.send(message);
          const { data } = await answer;
          answers.push(typeof data === 'string' ? data.length : `binary ${data.byteLength}`);
        }
        const closed = new Promise((resolve) => (socket.onclose = resolve));
        socket.close(1000, 'done');
        return { answers, code: (await closed).code };
      }, address());
      assert.deepEqual(echoed, { answers: [5, 0, 70_000, 'binary 100000'], code: 1000 });

      const upgrade = world.application.seen.find(({ target }) => target === '/socket?room=1');
      assert.deepEqual(upgrade.all('x-user'), ['alice']);
      assert.doesNotMatch(upgrade.all('cookie').join(), /doorward/);
    } finally {
      await browser.close();
    }
  });

  test('tells the application who is calling, whatever the caller says', async () => {
    const cookie = await sessionCookie(world.publicUrl, 'bob', { secrets: world.secrets });
    const socket = new WebSocket(address().replace('room=1', 'room=2'), {
      headers: { cookie, 'X-User': 'admin', X_User: 'admin' },
    });
    await soon(socket, 'open');
    socket.send('ping');
    assert.equal((await soon(socket, 'message'))[0].toString(), 'ping');
    socket.close();
    await soon(socket, 'close');
    const upgrade = world.application.seen.find(({ target }) => target === '/socket?room=2');
    assert.deepEqual(upgrade.all('x-user'), ['bob']);
    assert.deepEqual(upgrade.all('x_user'), []);
  });

  for (const [who, headers] of [
    ['without a session', {}],
    ['with a made-up session', { cookie: 'doorward=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' }],
    ['with only an identity header', { 'X-User': 'alice' }],
  ]) {
    test(`${who} is 401, and the application never hears of it`, async () => {
      const before = world.application.seen.length;
      const socket = new WebSocket(address(), { headers });
      const [, answer] = await soon(socket, 'unexpected-response');
      assert.equal(answer.statusCode, 401);
      assert.equal(answer.headers['set-cookie'], undefined);
      answer.destroy();
      assert.equal(world.application.seen.length, before);
    });
  }
});
