// With certificates: real host names, https everywhere, the cookie prefix that goes with it, HTTP/2.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http2 from 'node:http2';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { cookies, person, received, signIn, startBrowser, values } from './support/browser.mjs';
import { authority, certificate } from './support/certificates.mjs';
import { gatewayAddress } from './support/gateway.mjs';
import { NAVIGATION, ask } from './support/http.mjs';
import { soon } from './support/processes.mjs';
import { startWorld } from './support/world.mjs';

describe('with TLS', () => {
  let folder;
  let world;
  let browser;
  before(async () => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'doorward-tls-'));
    const root = authority(folder, 'root');
    const ours = certificate(folder, 'app.test', 'root');
    const theirs = certificate(folder, 'localhost', 'root');
    world = await startWorld({
      address: await gatewayAddress({ scheme: 'https', host: 'app.test' }),
      provider: { tls: { cert: readFileSync(theirs.cert), key: readFileSync(theirs.key) } },
      env: {
        DOORWARD_TLS__CERT: ours.cert,
        DOORWARD_TLS__KEY: ours.key,
        // an authority of the operator's own, for this provider alone
        DOORWARD_PROVIDERS__TEST__CA_FILE: root,
      },
    });
    browser = await startBrowser();
  });
  after(async () => {
    await browser?.close();
    await world?.stop();
    rmSync(folder, { recursive: true });
  });

  test('the session cookie is __Host-doorward and Secure, and a deep link survives', async () => {
    const context = await person(browser, { secrets: world.secrets, ignoreHTTPSErrors: true });
    const page = await context.newPage();
    await page.goto(`${world.publicUrl}/deep?link=1`);
    await signIn(page, 'alice', world.publicUrl);
    assert.equal(page.url(), `${world.publicUrl}/deep?link=1`);
    const seen = await received(page);
    assert.deepEqual(values(seen, 'x-user'), ['alice']);
    assert.deepEqual(values(seen, 'x-forwarded-proto'), ['https']);
    assert.deepEqual(values(seen, 'host'), [new URL(world.publicUrl).host], 'with its port, as over HTTP/1.1');
    assert.deepEqual(values(seen, 'x-forwarded-host'), [new URL(world.publicUrl).host]);

    const held = await cookies(context, world.publicUrl);
    const session = held['__Host-doorward'];
    assert.ok(session, Object.keys(held).join());
    assert.deepEqual(
      { secure: session.secure, httpOnly: session.httpOnly, sameSite: session.sameSite, path: session.path, domain: session.domain },
      { secure: true, httpOnly: true, sameSite: 'Lax', path: '/', domain: 'app.test' },
    );
    assert.ok(session.name.length + session.value.length <= 192, `${session.name.length + session.value.length} bytes`);

    const protocol = await page.evaluate(() => performance.getEntriesByType('navigation')[0].nextHopProtocol);
    assert.equal(protocol, 'h2');

    // the page came over HTTP/2, its WebSocket needs a connection of its own that speaks HTTP/1.1
    const echoed = await page.evaluate((url) => new Promise((resolve, reject) => {
      const socket = new WebSocket(url);
      socket.onopen = () => socket.send('over TLS');
      socket.onmessage = ({ data }) => resolve(data);
      socket.onerror = () => reject(new Error('the socket did not open'));
    }), `${world.publicUrl.replace('https', 'wss')}/socket`);
    assert.equal(echoed, 'over TLS');
    assert.deepEqual(world.application.seen.find(({ target }) => target === '/socket').all('x-user'), ['alice']);

    await page.goto(`${world.publicUrl}/_auth/logout`);
    await page.getByRole('button', { name: 'Yes, sign me out' }).click();
    await page.waitForURL(`${world.publicUrl}/_auth/signed-out**`);
    assert.equal((await cookies(context, world.publicUrl))['__Host-doorward'], undefined);
    await context.close();
  });

  test('a stranger over HTTP/2 is sent to sign in, or told 401', async () => {
    const { port, host } = new URL(world.publicUrl);
    const session = http2.connect(`https://127.0.0.1:${port}`, { servername: 'app.test', rejectUnauthorized: false });
    try {
      for (const [headers, status] of [[NAVIGATION, 302], [{}, 401], [{ 'x-user': 'admin' }, 401]]) {
        const stream = session.request({ ':path': '/deep', ':authority': host, ...headers });
        const [answer] = await soon(stream, 'response');
        stream.resume();
        assert.equal(answer[':status'], status, JSON.stringify(headers));
      }
    } finally {
      session.close();
    }
  });

  test('the redirect URI is the public one, whatever the Host header says', async () => {
    const { port } = new URL(world.publicUrl);
    const answer = await ask(`https://127.0.0.1:${port}/_auth/login?rd=/`, {
      rejectUnauthorized: false,
      servername: 'app.test',
      headers: { ...NAVIGATION, host: 'evil.example', 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'http' },
    });
    // T-040: refused, or answered with the configured origin
    if (answer.status === 302) {
      const { searchParams } = new URL(answer.headers.location);
      assert.equal(searchParams.get('redirect_uri'), `${world.publicUrl}/_auth/callback/test`);
    } else {
      assert.ok([400, 404, 421].includes(answer.status), `${answer.status}`);
    }
  });
});
