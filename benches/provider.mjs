// The provider of the end-to-end tests for the benchmark: people with as many groups as their login name says.
//
//   node benches/provider.mjs PORT < clients.json      answers one JSON line when it is ready
//
// `g5-alice` is in five groups; everything a scope allows is in the ID token, so that it reaches every gateway the same way. Clients that ask for
// themselves get a JWT for whatever resource they name (RFC 8707, RFC 9068).

import { text } from 'node:stream/consumers';

import { startProvider } from '../tests/e2e/support/provider.mjs';

const group = (_, index) => `department-${String(index + 1).padStart(3, '0')}`;

function claims(login) {
  const count = Number(/^g(\d+)-/.exec(login)?.[1] ?? 0);
  return { sub: login, groups: Array.from({ length: count }, group) };
}

const { issuer } = await startProvider({
  port: Number(process.argv[2]),
  clients: JSON.parse(await text(process.stdin)),
  claimsIn: 'id_token',
  claims,
  configure(settings) {
    settings.features.clientCredentials = { enabled: true };
    settings.features.resourceIndicators = {
      enabled: true,
      getResourceServerInfo: (_ctx, audience) => ({ audience, scope: '', accessTokenFormat: 'jwt' }),
    };
    settings.ttl.ClientCredentials = settings.ttl.AccessToken;
  },
});
console.log(JSON.stringify({ issuer }));
