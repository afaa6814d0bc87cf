// Everything a test needs around the gateway: a provider, an application and the gateway between them, started in that order.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { startApplication } from './application.mjs';
import { clientOf, gatewayAddress, keepLog, newKey, startGateway } from './gateway.mjs';
import { startProvider } from './provider.mjs';
import { Secrets } from './secrets.mjs';

/**
 * A provider, an application and a gateway, each of which can be stopped and started again where it was.
 *
 * What variables cannot say stands in a file: `configuration` gets the application's address and returns the TOML, `upstream` or `routes` included.
 *
 * `stop` ends them, and fails if the gateway's log holds anything that passed through as a secret (T-115): every
 * test that starts a world is a test of that.
 */
export async function startWorld({ env = {}, provider: providerOptions = {}, upstream, configuration, address, providerUp = true } = {}) {
  const world = {
    secrets: new Secrets(),
    address: address ?? (await gatewayAddress()),
    key: newKey(),
  };
  world.publicUrl = world.address.publicUrl;
  world.client = clientOf(world.address, { secret: randomBytes(24).toString('base64url') });
  world.secrets.add('client secret', world.client.client_secret);
  world.secrets.add('session key', world.key);

  world.startProvider = async (more = {}) => {
    world.provider = await startProvider({ clients: [world.client], secrets: world.secrets, ...providerOptions, ...more });
    return world.provider;
  };

  world.startGateway = async (more = {}) => {
    const application = upstream ?? world.application.url;
    if (configuration) {
      world.folder ??= mkdtempSync(path.join(tmpdir(), 'doorward-e2e-'));
      const file = path.join(world.folder, 'doorward.toml');
      writeFileSync(file, configuration(application));
      more = { DOORWARD_CONFIG: file, DOORWARD_UPSTREAM: undefined, ...more };
    }
    world.gateway = await startGateway(world.address, {
      upstream: application,
      issuer: world.provider.issuer,
      client: world.client,
      key: world.key,
      env: { ...env, ...more },
    });
  };

  world.stopGateway = async () => {
    if (!world.gateway) return;
    const how = await world.gateway.stop();
    const file = keepLog(world.gateway);
    assert.deepEqual(how, { code: 0, signal: null }, `the gateway did not end well; its log is ${file}`);
    assert.deepEqual(world.secrets.in(world.gateway.log), [], `secrets in the log ${file}`);
  };

  world.stop = async () => {
    // the others end too when the gateway did not end well
    await world.stopGateway().finally(() => {
      if (world.folder) rmSync(world.folder, { recursive: true });
      return Promise.all([world.application?.stop(), world.provider?.stop()]);
    });
  };

  try {
    await world.startProvider();
    if (!providerUp) await world.provider.stop();
    if (!upstream) world.application = await startApplication();
    await world.startGateway();
  } catch (error) {
    await world.stop().catch(() => {});
    throw error;
  }
  return world;
}
