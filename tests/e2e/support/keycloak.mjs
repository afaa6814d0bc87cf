// A real Keycloak on loopback, with one realm made for the test. tests/run fetches it from Maven Central.

import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { TARGET } from './gateway.mjs';
import { ask } from './http.mjs';
import { Program, freePort } from './processes.mjs';

const FOLDER = path.join(TARGET, 'e2e-keycloak');
const PASSWORD = 'any password';

/** Where Keycloak will stand. Browsers know it by a name, the gateway reaches it by its address, as in a cluster. */
export async function keycloakAddress() {
  const port = await freePort();
  return { port, issuer: `http://sso.test:${port}/realms/staff`, backChannel: `http://127.0.0.1:${port}` };
}

/** Starts it with these `clients` (in the words of its realm files) and people: `alice`, and `bob` whose address nobody has verified. */
export async function startKeycloak({ port }, clients) {
  const version = existsSync(FOLDER) && readdirSync(FOLDER).find((name) => /^keycloak-[\d.]+$/.test(name));
  assert.ok(version, `no Keycloak in ${FOLDER}: tests/run e2e fetches it`);
  const home = path.join(FOLDER, version);
  // nothing of an earlier run
  rmSync(path.join(home, 'data'), { recursive: true, force: true });
  mkdirSync(path.join(home, 'data/import'), { recursive: true });
  writeFileSync(path.join(home, 'data/import/staff.json'), JSON.stringify(realm(clients)));

  const options = ['--http-host=127.0.0.1', `--http-port=${port}`, `--hostname=http://sso.test:${port}`, '--hostname-backchannel-dynamic=true'];
  const env = { PATH: process.env.PATH, JAVA_HOME: process.env.JAVA_HOME, KC_DB: 'dev-mem', JAVA_OPTS_KC_HEAP: '-Xms64m -Xmx768m' };
  const script = path.join(home, 'bin/kc.sh');
  const program = new Program('keycloak', 'bash', [script, 'start-dev', '--import-realm', ...options], { env });
  const metadata = `http://127.0.0.1:${port}/realms/staff/.well-known/openid-configuration`;
  await program.ready(async () => (await ask(metadata)).status === 200, { seconds: 180 });
  return program;
}

/** Fills in Keycloak's page as `login` and returns when the browser is back at `home`. */
export async function signInAtKeycloak(page, login, home) {
  await page.locator('#username').fill(login);
  await page.locator('#password').fill(PASSWORD);
  const back = page.waitForURL((url) => url.origin === home);
  await page.locator('#kc-login').click();
  await back;
  await page.waitForLoadState();
}

function realm(clients) {
  const person = (username, more) => ({
    username,
    enabled: true,
    email: `${username}@example.com`,
    firstName: username,
    lastName: 'Example',
    credentials: [{ type: 'password', value: PASSWORD, temporary: false }],
    ...more,
  });
  return {
    realm: 'staff',
    enabled: true,
    sslRequired: 'none',
    roles: { realm: [{ name: 'accountant' }] },
    groups: [{ name: 'staff', subGroups: [{ name: 'finance' }] }],
    users: [
      person('alice', { emailVerified: true, realmRoles: ['accountant'], groups: ['/staff/finance'] }),
      person('bob', { emailVerified: false }),
    ],
    clients: clients.map((client) => ({
      protocol: 'openid-connect',
      publicClient: false,
      standardFlowEnabled: true,
      // Keycloak puts roles into access tokens alone, and groups nowhere, until it is told
      protocolMappers: [
        mapper('groups', 'oidc-group-membership-mapper', { 'claim.name': 'groups', 'full.path': 'true' }),
        mapper('roles', 'oidc-usermodel-realm-role-mapper', { 'claim.name': 'realm_access.roles', multivalued: 'true' }),
      ],
      ...client,
    })),
  };
}

function mapper(name, kind, config) {
  return { name, protocol: 'openid-connect', protocolMapper: kind, config: { 'id.token.claim': 'true', 'userinfo.token.claim': 'true', ...config } };
}
