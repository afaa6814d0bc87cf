// A real Keycloak, told apart by nothing but its kind: what it calls people, where it hides roles, two names for one host.

import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { startApplication } from './support/application.mjs';
import { person, received, startBrowser, values } from './support/browser.mjs';
import { gatewayAddress, keepLog, startGateway } from './support/gateway.mjs';
import { ask } from './support/http.mjs';
import { keycloakAddress, signInAtKeycloak, startKeycloak } from './support/keycloak.mjs';
import { Secrets } from './support/secrets.mjs';

const PROVIDER = 'DOORWARD_PROVIDERS__KEYCLOAK__';
const SECRET = 'a secret: with/+%&=';

describe('Keycloak', () => {
  const gateways = {};
  const secrets = new Secrets();
  let folder;
  let browser;
  let application;
  let keycloak;
  let address;

  /** A gateway that is to be started: what Keycloak has to know of it, and what it is told itself. */
  async function plan(name, client, env) {
    const at = await gatewayAddress();
    gateways[name] = { at, env };
    return {
      clientId: name,
      secret: SECRET,
      redirectUris: [`${at.publicUrl}/_auth/callback/keycloak`],
      ...client,
      attributes: { 'post.logout.redirect.uris': `${at.publicUrl}/_auth/signed-out`, ...client.attributes },
    };
  }

  before(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'doorward-keycloak-'));
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const keyFile = path.join(folder, 'key.pem');
    writeFileSync(keyFile, privateKey.export({ type: 'pkcs8', format: 'pem' }));
    const jwks = { keys: [{ ...publicKey.export({ format: 'jwk' }), use: 'sig', alg: 'ES256', kid: 'ours' }] };
    secrets.add('client secret', SECRET);

    address = await keycloakAddress();
    const clients = [
      await plan('plain', {}, { DOORWARD_HEADERS__CLAIMS__X_GROUPS: 'groups', DOORWARD_HEADERS__CLAIMS__X_ROLES: '/realm_access/roles' }),
      await plan('by-email', {}, { [`${PROVIDER}USER_CLAIM`]: 'email', [`${PROVIDER}SCOPES`]: 'openid,email' }),
      await plan('pushed', { attributes: { 'require.pushed.authorization.requests': 'true' } }, {}),
      await plan(
        'signed-userinfo',
        { attributes: { 'user.info.response.signature.alg': 'RS256' } },
        { [`${PROVIDER}USERINFO`]: 'always' },
      ),
      await plan(
        'with-a-key',
        { clientAuthenticatorType: 'client-jwt', attributes: { 'use.jwks.string': 'true', 'jwks.string': JSON.stringify(jwks), 'token.endpoint.auth.signing.alg': 'ES256' } },
        { [`${PROVIDER}CLIENT_AUTH`]: 'private_key_jwt', [`${PROVIDER}CLIENT_KEY_FILE`]: keyFile, [`${PROVIDER}CLIENT_KEY_ID`]: 'ours', [`${PROVIDER}CLIENT_SECRET`]: undefined },
      ),
    ];
    [application, keycloak, browser] = await Promise.all([startApplication(), startKeycloak(address, clients), startBrowser()]);
  });
  after(async () => {
    await Promise.all([browser?.close(), application?.stop(), keycloak?.stop()]);
    rmSync(folder, { recursive: true, force: true });
  });

  /** Starts the gateway called `name`, does `act` with it, and looks for secrets in its log. */
  async function behind(name, act) {
    const { at, env } = gateways[name];
    const gateway = await startGateway(at, {
      upstream: application.url,
      client: {},
      env: {
        DOORWARD_PROVIDERS__TEST__ISSUER: undefined,
        DOORWARD_PROVIDERS__TEST__CLIENT_ID: undefined,
        DOORWARD_PROVIDERS__TEST__CLIENT_SECRET: undefined,
        [`${PROVIDER}ISSUER`]: address.issuer,
        [`${PROVIDER}CLIENT_ID`]: name,
        [`${PROVIDER}CLIENT_SECRET`]: SECRET,
        // browsers know it by this name, and the gateway does not
        [`${PROVIDER}BACK_CHANNEL_ORIGIN`]: address.backChannel,
        [`${PROVIDER}INSECURE_HTTP`]: 'true',
        ...env,
      },
    });
    const context = await person(browser, { secrets });
    try {
      await act(at.publicUrl, await context.newPage());
    } finally {
      await context.close();
      await gateway.stop();
      const file = keepLog(gateway);
      assert.deepEqual(secrets.in(gateway.log), [], `secrets in the log ${file}`);
    }
  }

  /** Signs `login` in, and what the application received then. */
  async function signedIn(page, home, login) {
    await page.goto(`${home}/deep?x=1`);
    await signInAtKeycloak(page, login, home);
    assert.equal(page.url(), `${home}/deep?x=1`);
    return received(page);
  }

  test('three variables, groups and nested roles', async () => {
    await behind('plain', async (home, page) => {
      const callback = page.waitForRequest((request) => request.url().includes('/_auth/callback/keycloak'));
      const seen = await signedIn(page, home, 'alice');
      assert.match(values(seen, 'x-user').join(), /^[0-9a-f-]{36}$|^alice$/);
      assert.deepEqual(values(seen, 'x-groups'), ['/staff/finance']);
      assert.ok(values(seen, 'x-roles').join().split(',').includes('accountant'), values(seen, 'x-roles').join());
      // RFC 9207, and a parameter of its own that is nobody's business
      const { searchParams } = new URL((await callback).url());
      assert.equal(searchParams.get('iss'), address.issuer);
      assert.ok(searchParams.has('session_state'));
    });
  });

  test('the sign-out ends the session there too', async () => {
    await behind('plain', async (home, page) => {
      await signedIn(page, home, 'alice');
      await page.goto(`${home}/_auth/logout`);
      const { origin, pathname } = new URL(page.url());
      assert.deepEqual([origin, pathname], [home, '/_auth/signed-out'], 'Keycloak does not ask: it was shown the ID token');
      await page.goto(home);
      await page.locator('#username').waitFor();
    });
  });

  test('an address that nobody verified names nobody', async () => {
    await behind('by-email', async (home, page) => {
      assert.deepEqual(values(await signedIn(page, home, 'alice'), 'x-user'), ['alice@example.com']);
    });
    await behind('by-email', async (home, page) => {
      await page.goto(home);
      await signInAtKeycloak(page, 'bob', home);
      assert.match(await page.locator('main').textContent(), /verified/);
    });
  });

  test('requests pushed ahead', async () => {
    await behind('pushed', async (home, page) => {
      const begin = await ask(`${home}/_auth/login?rd=/`, { headers: { accept: 'text/html' } });
      const { searchParams } = new URL(begin.headers.location);
      assert.deepEqual([...searchParams.keys()].sort(), ['client_id', 'request_uri']);
      await signedIn(page, home, 'alice');
    });
  });

  for (const name of ['signed-userinfo', 'with-a-key']) {
    test(name.replaceAll('-', ' '), async () => {
      await behind(name, async (home, page) => {
        await signedIn(page, home, 'alice');
      });
    });
  }
});
