// One certified provider, configured the many ways that real ones are: what is signed with what, how the gateway says who it is, and where
// the answers go.

import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { cookies, person, received, sessionCookie, signIn, startBrowser, values } from './support/browser.mjs';
import { authority, certificate } from './support/certificates.mjs';
import { gatewayAddress } from './support/gateway.mjs';
import { ask } from './support/http.mjs';
import { until } from './support/processes.mjs';
import { startWorld } from './support/world.mjs';

/** A key of the gateway's: the file it reads, and the public half that the provider knows. */
function clientKey(folder, type, options) {
  const { privateKey, publicKey } = generateKeyPairSync(type, options);
  const file = path.join(folder, `${type}.pem`);
  writeFileSync(file, privateKey.export({ type: 'pkcs8', format: 'pem' }));
  return { file, jwk: { ...publicKey.export({ format: 'jwk' }), use: 'sig', kid: `ours-${type}` } };
}

/** Whom the application is told about, after a sign-in without a browser. */
async function toldAbout(world, login) {
  const cookie = await sessionCookie(world.publicUrl, login, { secrets: world.secrets });
  const answer = await ask(world.publicUrl, { headers: { cookie } });
  assert.equal(answer.status, 200);
  const { fields } = world.application.seen.at(-1);
  return values({ fields }, 'x-user');
}

const second = () => Math.floor(Date.now() / 1000);

/** A world whose gateway is this client of the provider, and what is asked of it. */
async function world({ client = {}, env = {}, address, ...provider }) {
  const configure = (settings) => {
    Object.assign(settings.clients[0], client);
    if (client.token_endpoint_auth_method === 'private_key_jwt') delete settings.clients[0].client_secret;
    provider.configure?.(settings);
  };
  return startWorld({ env, address, provider: { ...provider, configure } });
}

const PROVIDER = 'DOORWARD_PROVIDERS__TEST__';
const BY_EMAIL = { [`${PROVIDER}SCOPES`]: 'openid,email', [`${PROVIDER}USER_CLAIM`]: 'email' };

describe('a provider signs as it likes', () => {
  for (const alg of ['RS256', 'PS256', 'ES256', 'EdDSA']) {
    test(`ID tokens by ${alg}`, async () => {
      const here = await world({ client: { id_token_signed_response_alg: alg } });
      try {
        assert.deepEqual(await toldAbout(here, 'alice'), ['alice']);
      } finally {
        await here.stop();
      }
    });
  }

  test('an algorithm that is not accepted signs nobody in', async () => {
    const here = await world({ client: { id_token_signed_response_alg: 'PS256' }, env: { [`${PROVIDER}ALGORITHMS`]: 'ES256' } });
    try {
      await assert.rejects(sessionCookie(here.publicUrl, 'alice', { secrets: here.secrets }), /502/);
    } finally {
      await here.stop();
    }
  });

  test('with new keys while both are running', async () => {
    const here = await world({ client: { id_token_signed_response_alg: 'ES256' }, env: { DOORWARD_LIMITS__PROVIDER_MIN_INTERVAL: '1s' } });
    try {
      assert.deepEqual(await toldAbout(here, 'alice'), ['alice']);
      const fetched = second();
      here.provider.rotateKeys();
      // keys are fetched at most once per interval, which counts whole seconds
      await until('the next second', () => second() > fetched);
      assert.deepEqual(await toldAbout(here, 'bob'), ['bob']);
    } finally {
      await here.stop();
    }
  });

  // the ID token of this provider holds `sub` alone: the address is at userinfo
  for (const alg of ['RS256', 'ES256', undefined]) {
    test(alg ? `userinfo signed by ${alg}` : 'userinfo as plain JSON', async () => {
      const here = await world({
        client: alg ? { userinfo_signed_response_alg: alg } : {},
        configure: (settings) => Object.assign(settings.features, { jwtUserinfo: { enabled: true } }),
        env: BY_EMAIL,
      });
      try {
        assert.deepEqual(await toldAbout(here, 'alice'), ['alice@example.com']);
        assert.ok(here.provider.asked.includes('GET /me'), 'userinfo was asked');
      } finally {
        await here.stop();
      }
    });
  }

  test('access tokens that are JWTs for an API of theirs', async () => {
    const resource = 'https://api.example.com';
    const here = await world({
      configure: (settings) => {
        settings.features.resourceIndicators = {
          enabled: true,
          getResourceServerInfo: () => ({ scope: 'read', audience: resource, accessTokenFormat: 'jwt' }),
        };
      },
      env: { [`${PROVIDER}AUTHORIZATION_PARAMETERS__RESOURCE`]: resource },
    });
    try {
      assert.deepEqual(await toldAbout(here, 'alice'), ['alice']);
    } finally {
      await here.stop();
    }
  });
});

describe('the gateway says who it is as the provider wants it', () => {
  let folder;
  before(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'doorward-e2e-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  test('by client_secret_post', async () => {
    const here = await world({ client: { token_endpoint_auth_method: 'client_secret_post' }, env: { [`${PROVIDER}CLIENT_AUTH`]: 'client_secret_post' } });
    try {
      assert.deepEqual(await toldAbout(here, 'alice'), ['alice']);
    } finally {
      await here.stop();
    }
  });

  for (const [alg, type, options] of [
    ['RS256', 'rsa', { modulusLength: 2048 }],
    ['ES256', 'ec', { namedCurve: 'P-256' }],
  ]) {
    test(`by private_key_jwt with ${alg}`, async () => {
      const { file, jwk } = clientKey(folder, type, options);
      const here = await world({
        client: { token_endpoint_auth_method: 'private_key_jwt', token_endpoint_auth_signing_alg: alg, jwks: { keys: [jwk] } },
        env: {
          [`${PROVIDER}CLIENT_AUTH`]: 'private_key_jwt',
          [`${PROVIDER}CLIENT_KEY_FILE`]: file,
          [`${PROVIDER}CLIENT_KEY_ID`]: jwk.kid,
          [`${PROVIDER}CLIENT_SECRET`]: undefined,
        },
      });
      try {
        assert.deepEqual(await toldAbout(here, 'alice'), ['alice']);
      } finally {
        await here.stop();
      }
    });
  }

  test('by pushing the request ahead (PAR), alone or with private_key_jwt', async () => {
    const { file, jwk } = clientKey(folder, 'ec', { namedCurve: 'P-256' });
    const required = (settings) => {
      settings.features.pushedAuthorizationRequests = { enabled: true, requirePushedAuthorizationRequests: true };
    };
    const withKey = {
      client: { token_endpoint_auth_method: 'private_key_jwt', token_endpoint_auth_signing_alg: 'ES256', jwks: { keys: [jwk] } },
      env: {
        [`${PROVIDER}CLIENT_AUTH`]: 'private_key_jwt',
        [`${PROVIDER}CLIENT_KEY_FILE`]: file,
        [`${PROVIDER}CLIENT_KEY_ID`]: jwk.kid,
        [`${PROVIDER}CLIENT_SECRET`]: undefined,
      },
    };
    for (const how of [{}, withKey]) {
      const here = await world({ configure: required, ...how });
      try {
        assert.deepEqual(await toldAbout(here, 'alice'), ['alice']);
        assert.ok(here.provider.asked.includes('POST /request'), 'the request was pushed');
        const begin = await ask(`${here.publicUrl}/_auth/login?rd=/`, { headers: { accept: 'text/html' } });
        const { searchParams } = new URL(begin.headers.location);
        assert.deepEqual([...searchParams.keys()].sort(), ['client_id', 'request_uri'], 'and nothing of it goes through the browser');
      } finally {
        await here.stop();
      }
    }
  });
});

describe('the answer comes as a posted form', () => {
  let browser;
  let folder;
  before(async () => {
    browser = await startBrowser();
    folder = mkdtempSync(path.join(tmpdir(), 'doorward-e2e-'));
  });
  after(async () => {
    await browser?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Signs in as alice in `here`, and checks that the answer was posted; what the browser was asked, and its cookies at the provider's pages. */
  async function signInByForm(here, options) {
    const context = await person(browser, { secrets: here.secrets, ...options });
    const page = await context.newPage();
    const callbacks = [];
    page.on('request', (request) => {
      if (request.url().includes('/_auth/callback/test')) callbacks.push(request.method());
    });
    await page.goto(`${here.publicUrl}/deep?x=1`);
    const held = await cookies(context, here.publicUrl);
    await signIn(page, 'alice', here.publicUrl);
    await page.waitForURL(`${here.publicUrl}/deep?x=1`);
    assert.deepEqual(values(await received(page), 'x-user'), ['alice']);
    await context.close();
    return { callbacks, held };
  }

  test('over https, with a login cookie that other sites may send, for this provider alone', async () => {
    const root = authority(folder, 'root');
    const ours = certificate(folder, 'app.test', 'root');
    const theirs = certificate(folder, 'localhost', 'root');
    const here = await world({
      address: await gatewayAddress({ scheme: 'https', host: 'app.test' }),
      tls: { cert: readFileSync(theirs.cert), key: readFileSync(theirs.key) },
      env: {
        DOORWARD_TLS__CERT: ours.cert,
        DOORWARD_TLS__KEY: ours.key,
        [`${PROVIDER}CA_FILE`]: root,
        [`${PROVIDER}RESPONSE_MODE`]: 'form_post',
      },
    });
    try {
      const { callbacks, held } = await signInByForm(here, { ignoreHTTPSErrors: true });
      assert.deepEqual(callbacks, ['POST'], 'the code never stands in an address');
      const [login] = Object.values(held);
      assert.equal(login.name, '__Host-doorward-login-post');
      assert.deepEqual([login.sameSite, login.secure, login.httpOnly, login.path], ['None', true, true, '/']);
    } finally {
      await here.stop();
    }
  });

  test('over plain http on loopback, where no cookie may come from another site: it goes on as a link', async () => {
    const here = await world({ env: { [`${PROVIDER}RESPONSE_MODE`]: 'form_post' } });
    try {
      const { callbacks, held } = await signInByForm(here);
      assert.deepEqual(callbacks, ['POST', 'GET']);
      assert.deepEqual(Object.keys(held), ['doorward-login']);
    } finally {
      await here.stop();
    }
  });
});
