// Two gateways for one public address, with a store between them.

import assert from 'node:assert/strict';

import { clientOf, gatewayAddress, keepLog, startGateway } from './gateway.mjs';
import { ask } from './http.mjs';
import { startRedis } from './redis.mjs';
import { startWorld } from './world.mjs';

/** How soon one gateway knows what another has ended, in seconds; twice what is promised, because tests share the machine. */
export const SOON = { seconds: 2 };

/**
 * A world whose gateway has a second one beside it. `world.statuses` asks both who is signed in with a cookie.
 *
 * `client` adds to what the provider knows of the gateway; it gets the public address.
 */
export async function startReplicas({ env = {}, provider = {}, client = () => ({}) } = {}) {
  const redis = await startRedis();
  const address = await gatewayAddress();
  const shared = { DOORWARD_SESSION__STORE: redis.url, ...env };
  const configure = (settings) => {
    Object.assign(settings.clients[0], client(address.publicUrl));
    provider.configure?.(settings);
    // it does not talk to this machine otherwise, so that clients cannot make it
    settings.fetch = (url, { dispatcher, ...options }) => fetch(url, options);
  };
  let world;
  try {
    world = await startWorld({ address, env: shared, provider: { ...provider, configure } });
    const other = { ...(await gatewayAddress()), publicUrl: address.publicUrl };
    world.other = await startGateway(other, {
      upstream: world.application.url,
      issuer: world.provider.issuer,
      client: clientOf(address, { secret: world.client.client_secret }),
      key: world.key,
      env: shared,
    });
    const places = [address.publicUrl, `http://${other.listen}`];
    const { host } = new URL(address.publicUrl);
    /** What each gateway answers to whoever brings this session. */
    world.statuses = ({ value }) =>
      Promise.all(places.map(async (place) => (await ask(`${place}/`, { headers: { host, cookie: `doorward=${value}` } })).status));
  } catch (error) {
    await world?.stop().catch(() => {});
    await redis.stop();
    throw error;
  }
  const { stop } = world;
  world.stop = async () => {
    try {
      await world.other.stop();
      const file = keepLog(world.other);
      assert.deepEqual(world.secrets.in(world.other.log), [], `secrets in the log ${file}`);
    } finally {
      await stop().finally(() => redis.stop());
    }
  };
  return world;
}
