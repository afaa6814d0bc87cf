// The gateway as it is shipped: the compiled program, told everything by environment variables.

import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { ask } from './http.mjs';
import { Program, freePort } from './processes.mjs';

const REPOSITORY = path.resolve(import.meta.dirname, '../../..');
/** Where everything built or recorded goes. */
export const TARGET = path.resolve(REPOSITORY, process.env.CARGO_TARGET_DIR ?? 'target');
/** Built once by tests/run before the tests begin. */
export const BINARY = process.env.DOORWARD_BIN ?? path.join(TARGET, 'debug/doorward');
const LOGS = path.join(TARGET, 'e2e-logs');

export const newKey = () => execFileSync(BINARY, ['key'], { encoding: 'utf8' }).trim();

/** Where a gateway will stand: chosen before it starts, because the provider has to know the redirect URI. */
export async function gatewayAddress({ scheme = 'http', host = '127.0.0.1' } = {}) {
  const port = await freePort();
  const publicUrl = `${scheme}://${host}:${port}`;
  const adminPort = await freePort();
  return { publicUrl, listen: `127.0.0.1:${port}`, adminListen: `127.0.0.1:${adminPort}`, admin: `http://127.0.0.1:${adminPort}` };
}

/** This gateway as a client of the provider named `test`: RFC 9700 §4.4, a redirect URI for each provider. */
export function clientOf({ publicUrl }, { name = 'test', id = 'doorward-e2e', secret } = {}) {
  return {
    client_id: id,
    client_secret: secret,
    redirect_uris: [`${publicUrl}/_auth/callback/${name}`],
    post_logout_redirect_uris: [`${publicUrl}/_auth/signed-out`],
  };
}

/**
 * Starts the gateway at `address` and waits until it says that it is ready.
 * `env` adds to or replaces the five variables that the least start needs.
 */
export async function startGateway(address, { upstream, issuer, client, env = {}, key = newKey() }) {
  const program = new Program('doorward', BINARY, [], {
    env: {
      PATH: process.env.PATH,
      DOORWARD_PUBLIC_URL: address.publicUrl,
      DOORWARD_LISTEN: address.listen,
      DOORWARD_ADMIN__LISTEN: address.adminListen,
      DOORWARD_UPSTREAM: upstream,
      DOORWARD_PROVIDERS__TEST__ISSUER: issuer,
      DOORWARD_PROVIDERS__TEST__CLIENT_ID: client.client_id,
      DOORWARD_PROVIDERS__TEST__CLIENT_SECRET: client.client_secret,
      DOORWARD_SESSION__KEY: key,
      // the most that a release build says: what is checked for secrets after every test
      DOORWARD_LOG__FILTER: 'debug',
      ...env,
    },
  });
  await program.ready(async () => (await ask(`${address.admin}/readyz`)).status === 200);
  return program;
}

/** Keeps what a program wrote, for whoever has to find out why a test failed. */
export function keepLog(program) {
  mkdirSync(LOGS, { recursive: true });
  const file = path.join(LOGS, `${path.basename(process.argv[1], '.test.mjs')}-${program.pid}.log`);
  writeFileSync(file, program.log);
  return file;
}
