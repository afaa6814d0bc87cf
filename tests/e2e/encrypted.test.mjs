// Access tokens that the provider encrypts, so that only the gateway can read them (JWE).

import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { gatewayAddress } from './support/gateway.mjs';
import { assertLetIn, assertRefused, issueTokens, startProgram } from './support/tokens.mjs';
import { startWorld } from './support/world.mjs';

describe('tokens that are encrypted for the gateway', () => {
  const RSA = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const EC = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const STRANGER = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const SIGNED = { alg: 'ES256' };
  /** How the provider encrypts tokens for each path. */
  const ENCRYPTIONS = [
    ['/stranger', { key: STRANGER.publicKey, alg: 'RSA-OAEP-256', enc: 'A256GCM' }],
    ['/rsa', { key: RSA.publicKey, alg: 'RSA-OAEP-256', enc: 'A256GCM' }],
    ['/rsa-sha1', { key: RSA.publicKey, alg: 'RSA-OAEP', enc: 'A128CBC-HS256' }],
    ['/ec', { key: EC.publicKey, alg: 'ECDH-ES', enc: 'A128GCM' }],
    ['/ec-wrapped', { key: EC.publicKey, alg: 'ECDH-ES+A256KW', enc: 'A256CBC-HS512' }],
  ];
  let folder;
  let world;
  let program;
  before(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'doorward-e2e-'));
    const keys = path.join(folder, 'keys.pem');
    writeFileSync(keys, [RSA, EC].map(({ privateKey }) => privateKey.export({ type: 'pkcs8', format: 'pem' })).join(''), { mode: 0o600 });
    const address = await gatewayAddress();
    const encrypted = ENCRYPTIONS.map(([at, encrypt]) => [address.publicUrl + at, { format: 'jwt', jwt: { sign: SIGNED, encrypt } }]);
    world = await startWorld({
      address,
      provider: { configure: (settings) => issueTokens(settings, Object.fromEntries(encrypted)) },
      configuration: (upstream) => `
        [[routes]]
        upstream = "${upstream}"
        ${ENCRYPTIONS.map(([at]) => `[[routes]]\npath = "${at}"\nupstream = "${upstream}"\ncredentials = "bearer"`).join('\n')}

        [providers.test]
        decryption_key_file = "${keys}"
      `,
    });
    program = await startProgram(world.provider.issuer);
  });
  after(async () => {
    await world?.stop();
    rmSync(folder, { recursive: true });
  });

  for (const [at, { alg, enc }] of ENCRYPTIONS) {
    test(`with ${alg} and ${enc} ${at === '/stranger' ? 'for somebody else do not count' : 'count, and not when a bit of them is another'}`, async () => {
      const resource = world.publicUrl + at;
      const { access_token } = await program.signIn('alice', { resource });
      const parts = access_token.split('.');
      assert.equal(parts.length, 5);
      const answer = await program.call(resource, access_token);
      if (at === '/stranger') return assertRefused(answer, 401, 'invalid_token');
      assertLetIn(answer, 'alice');
      for (const part of [1, 2, 3, 4].filter((part) => parts[part])) {
        const changed = parts.with(part, flipped(parts[part])).join('.');
        assertRefused(await program.call(resource, changed), 401, 'invalid_token', `part ${part}`);
      }
    });
  }

  /** `text` in base64url with one bit of its first byte turned over. */
  function flipped(text) {
    const bytes = Buffer.from(text, 'base64url');
    bytes[0] ^= 1;
    return bytes.toString('base64url');
  }
});
