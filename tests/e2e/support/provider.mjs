// A certified OpenID provider (npm: oidc-provider) with its own sign-in pages, for the tests, the benchmark and people trying things out.
//
// Any login name and any password get in; the name becomes the subject. PKCE is required, every client authenticates with a secret,
// and whatever must never appear in a log (codes, tokens, nonces, verifiers) is handed to `secrets` as it passes.
//
//   node tests/e2e/support/provider.mjs [--port 9000] [--client-id doorward] [--client-secret …] [--redirect-uri URI]…
//        [--signed-out-uri URI]… [--claims-in id_token|userinfo]

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import http from 'node:http';
import https from 'node:https';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

import { Provider } from 'oidc-provider';

import { freePort } from './processes.mjs';

const HOUR = 3600;
const GROUPS = { alice: ['staff', 'admins'], bob: ['staff'] };

/** Everybody can exist here: what the provider says about `login`. */
export function claimsOf(login) {
  return {
    sub: login,
    name: login.charAt(0).toUpperCase() + login.slice(1),
    preferred_username: login,
    email: `${login}@example.com`,
    email_verified: true,
    groups: GROUPS[login] ?? [],
  };
}

/**
 * Starts the provider and returns it with its `issuer`.
 *
 * `configure` changes its configuration before it starts, for what only some tests need.
 *
 * The issuer says `localhost` while the gateway is reached as 127.0.0.1: for a browser these are different sites, as in reality,
 * so that `SameSite` and `Sec-Fetch-Site` are really at work.
 */
export async function startProvider({
  port,
  clients = [],
  claimsIn = 'userinfo',
  claims = claimsOf,
  tls,
  secrets = { add() {} },
  host = 'localhost',
  configure = () => {},
} = {}) {
  port ??= await freePort();
  const issuer = `${tls ? 'https' : 'http'}://${host}:${port}`;
  /** The provider with keys of its own; what it remembers of people and grants it shares with those before it. */
  const withNewKeys = () => {
    const settings = configuration({ clients, claimsIn, claims });
    configure(settings);
    const provider = new Provider(issuer, settings);
    provider.proxy = false;
    report(provider, secrets);
    return provider.callback();
  };
  let handle = withNewKeys();

  const answer = (request, response) => handle(request, response);
  const server = tls ? https.createServer(tls, answer) : http.createServer(answer);
  await new Promise((listening, failed) => {
    server.once('error', failed);
    server.listen(port, '127.0.0.1', listening);
  });
  const asked = [];
  server.on('request', (request) => asked.push(`${request.method} ${request.url.split('?')[0]}`));

  return {
    issuer,
    port,
    /** From now on other keys sign, and only those are published. */
    rotateKeys() {
      handle = withNewKeys();
    },
    /** Method and path of every request so far: who asked what, how often. */
    asked,
    async stop() {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}

function configuration({ clients, claimsIn, claims }) {
  return {
    clients: clients.map((client) => ({
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'client_secret_basic',
      ...client,
    })),
    jwks: { keys: [newKey('rsa', { modulusLength: 2048 }), newKey('ec', { namedCurve: 'P-256' }), newKey('ed25519')] },
    cookies: { keys: [randomBytes(32).toString('hex')] },
    pkce: { required: () => true },
    claims: {
      openid: ['sub'],
      profile: ['name', 'preferred_username'],
      email: ['email', 'email_verified'],
      groups: ['groups'],
    },
    scopes: ['openid', 'offline_access', 'profile', 'email', 'groups'],
    // OpenID Connect Core §5.4: with an access token in hand, these claims belong to userinfo. Many providers put them in the ID token.
    conformIdTokenClaims: claimsIn === 'userinfo',
    findAccount: (_ctx, login) => ({ accountId: login, claims: () => claims(login) }),
    features: { devInteractions: { enabled: true }, introspection: { enabled: true }, revocation: { enabled: true } },
    ttl: { AccessToken: HOUR, AuthorizationCode: 60, IdToken: HOUR, RefreshToken: HOUR, Interaction: HOUR, Session: HOUR, Grant: HOUR },
  };
}

/** A private key as a JWK; which algorithm it signs with is the client's to say. */
function newKey(type, options) {
  const { privateKey } = generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: 'jwk' }), use: 'sig', kid: randomBytes(6).toString('hex') };
}

/** Tells `secrets` what passes by, and prints the reason of a refusal, which the other side never learns. */
function report(provider, secrets) {
  provider.on('authorization.accepted', (ctx) => {
    secrets.add('state', ctx.oidc.params.state);
    secrets.add('nonce', ctx.oidc.params.nonce);
  });
  provider.on('authorization.success', (_ctx, response) => secrets.add('code', response.code));
  provider.on('grant.success', (ctx) => {
    secrets.add('code verifier', ctx.oidc.params.code_verifier);
    for (const token of ['access_token', 'refresh_token', 'id_token']) secrets.add(token, ctx.body[token]);
  });
  for (const event of ['authorization.error', 'grant.error', 'userinfo.error', 'end_session.error', 'server_error']) {
    provider.on(event, (_ctx, error) => console.error(`provider: ${event}: ${error.message} ${error.error_detail ?? ''}`));
  }
}

async function fromTheCommandLine() {
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: '9000' },
      'client-id': { type: 'string', default: 'doorward' },
      'client-secret': { type: 'string', default: 'not-a-secret-on-loopback' },
      'redirect-uri': { type: 'string', multiple: true, default: ['http://127.0.0.1:4180/_auth/callback/test'] },
      'signed-out-uri': { type: 'string', multiple: true, default: ['http://127.0.0.1:4180/_auth/signed-out'] },
      'claims-in': { type: 'string', default: 'userinfo' },
    },
  });
  const { issuer } = await startProvider({
    port: Number(values.port),
    claimsIn: values['claims-in'],
    clients: [
      {
        client_id: values['client-id'],
        client_secret: values['client-secret'],
        redirect_uris: values['redirect-uri'],
        post_logout_redirect_uris: values['signed-out-uri'],
      },
    ],
  });
  console.log(JSON.stringify({ issuer, client_id: values['client-id'], client_secret: values['client-secret'] }));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await fromTheCommandLine();
