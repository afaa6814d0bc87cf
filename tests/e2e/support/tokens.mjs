// Programs that bring a token, by software nobody here wrote: openid-client (npm) and Authlib (PyPI), and what the provider has to know of them.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { promisify } from 'node:util';

import { allowInsecureRequests as overPlainHttp, processResourceDiscoveryResponse, resourceDiscoveryRequest } from 'oauth4webapi';
import {
  ClientSecretBasic,
  None,
  WWWAuthenticateChallengeError,
  allowInsecureRequests,
  authorizationCodeGrant,
  buildAuthorizationUrl,
  calculatePKCECodeChallenge,
  clientCredentialsGrant,
  customFetch,
  discovery,
  fetchProtectedResource,
  getDPoPHandle,
  modifyAssertion,
  randomDPoPKeyPair,
  randomNonce,
  randomPKCECodeVerifier,
  randomState,
  refreshTokenGrant,
  tokenRevocation,
} from 'openid-client';

import { callbackFrom, values } from './browser.mjs';

const PYTHON = process.env.E2E_PYTHON ?? path.resolve(import.meta.dirname, '../.venv/bin/python');

/** A program on somebody's own machine: a public client (RFC 8252). Nobody listens at its redirect URI, which is read from the answer. */
export const PROGRAM = {
  client_id: 'program',
  application_type: 'native',
  token_endpoint_auth_method: 'none',
  redirect_uris: ['http://127.0.0.1/callback'],
};

/** A program that acts for nobody but itself. */
export const SERVICE = {
  client_id: 'service',
  client_secret: randomBytes(24).toString('base64url'),
  grant_types: ['client_credentials'],
  response_types: [],
  redirect_uris: [],
};

/**
 * Changes the provider's configuration so that it issues tokens to `PROGRAM` and `SERVICE` for these resources (RFC 8707): each address with
 * `format`, `jwt` or `opaque`, and further settings of the resource server.
 */
export function issueTokens(settings, resources) {
  const defaults = { grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'], token_endpoint_auth_method: 'client_secret_basic' };
  settings.clients.push({ ...defaults, ...PROGRAM }, { ...defaults, ...SERVICE });
  settings.features.clientCredentials = { enabled: true };
  settings.features.dPoP = { enabled: true };
  settings.features.resourceIndicators = {
    enabled: true,
    getResourceServerInfo(_ctx, resource) {
      const { format, ...more } = resources[resource] ?? {};
      // what is not known is refused before anybody is asked to sign in
      if (!format) throw new TypeError(`no resource ${resource}`);
      return { audience: resource, scope: 'read write', accessTokenFormat: format, ...more };
    },
  };
  settings.ttl.ClientCredentials = 600;
}

/** `PROGRAM` with what it knows of the provider at `issuer`. */
export const startProgram = (issuer) => known(issuer, PROGRAM, None());

/** `SERVICE` likewise. */
export const startService = (issuer) => known(issuer, SERVICE, ClientSecretBasic(SERVICE.client_secret));

async function known(issuer, { client_id }, authentication) {
  return new Program(await discovery(new URL(issuer), client_id, undefined, authentication, { execute: [allowInsecureRequests] }));
}

/** A client of openid-client. `dpop` in every method is a key of `newKey`. */
class Program {
  constructor(config) {
    this.config = config;
  }

  /** A key of its own that tokens are bound to (RFC 9449). */
  async newKey(alg = 'ES256') {
    // openid-client has the new name of that algorithm (RFC 9864), which the gateway's challenge does not offer
    const named = alg === 'EdDSA' ? { [modifyAssertion]: (header) => (header.alg = alg) } : {};
    return getDPoPHandle(this.config, await randomDPoPKeyPair(alg === 'EdDSA' ? 'Ed25519' : alg), named);
  }

  /** Signs `login` in with PKCE and returns the provider's answer, whose access token is for `resource` with `scope`. */
  async signIn(login, { resource, scope = 'read', dpop } = {}) {
    const [verifier, state, nonce] = [randomPKCECodeVerifier(), randomState(), randomNonce()];
    const target = resource ? { resource } : {};
    const begin = buildAuthorizationUrl(this.config, {
      redirect_uri: PROGRAM.redirect_uris[0],
      scope: `openid offline_access ${scope}`,
      prompt: 'consent',
      code_challenge: await calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      state,
      nonce,
      ...target,
    });
    const callback = new URL(await callbackFrom(begin.href, login));
    const expected = { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce };
    return authorizationCodeGrant(this.config, callback, expected, target, { DPoP: dpop });
  }

  refresh(refreshToken, { resource, dpop } = {}) {
    return refreshTokenGrant(this.config, refreshToken, resource ? { resource } : {}, { DPoP: dpop });
  }

  /** A token for the program itself. */
  forItself({ resource, scope = 'read', dpop } = {}) {
    return clientCredentialsGrant(this.config, { scope, resource }, { DPoP: dpop });
  }

  revoke(token) {
    return tokenRevocation(this.config, token);
  }

  /**
   * Calls `url` with `token`. `challenges` are those of `WWW-Authenticate` as openid-client understands them,
   * `received` is what the application says it received.
   */
  async call(url, token, { method = 'GET', dpop } = {}) {
    const headers = new Headers({ accept: 'application/json' });
    let response;
    let challenges = [];
    try {
      response = await fetchProtectedResource(this.config, token, new URL(url), method, undefined, headers, { DPoP: dpop });
    } catch (error) {
      if (!(error instanceof WWWAuthenticateChallengeError)) throw error;
      ({ response, cause: challenges } = error);
    }
    const body = await response.text();
    const type = response.headers.get('content-type');
    return { status: response.status, type, challenges, body, received: response.ok ? JSON.parse(body) : undefined };
  }

  /** The headers that such a call would have, its proof included; nobody is called. */
  async headersFor(url, token, { method = 'GET', dpop } = {}) {
    let prepared;
    const before = this.config[customFetch];
    this.config[customFetch] = async (_url, { headers }) => {
      prepared = headers;
      return new Response(null, { status: 204 });
    };
    try {
      await fetchProtectedResource(this.config, token, new URL(url), method, undefined, new Headers({ accept: 'application/json' }), { DPoP: dpop });
    } finally {
      this.config[customFetch] = before;
    }
    return prepared;
  }
}

/** What is published about the resource at `url`, found as RFC 9728 §3.1 says and checked to be about it (§3.3). */
export async function resourceMetadata(url) {
  const response = await resourceDiscoveryRequest(new URL(url), { [overPlainHttp]: true });
  return processResourceDiscoveryResponse(new URL(url), response);
}

/** Has Authlib get a token for `SERVICE` and call `url` with it `placed` in the `header`, `body` or `uri`; the status and the body of the answer. */
export async function callByAuthlib({ issuer, resource, scope, url, placed = 'header' }) {
  const { client_id, client_secret } = SERVICE;
  const script = path.join(import.meta.dirname, 'client.py');
  const wanted = JSON.stringify({ token_endpoint: `${issuer}/token`, client_id, client_secret, resource, scope, url, placed });
  const running = promisify(execFile)(PYTHON, [script], { env: { PATH: process.env.PATH, AUTHLIB_INSECURE_TRANSPORT: '1' }, timeout: 30_000 });
  running.child.stdin.end(wanted);
  return JSON.parse((await running).stdout);
}

/** That the answer lets nobody in: its status, and the challenge that says why, as RFC 6750 §3 and RFC 9457 have it. */
export function assertRefused(answer, status, error, hint = '') {
  assert.equal(answer.status, status, `${hint} ${answer.status} ${answer.body}`);
  assert.match(`${answer.type}`, /^application\/problem\+json/, hint);
  const told = answer.challenges.filter((challenge) => challenge.parameters.error);
  assert.deepEqual([...new Set(told.map(({ parameters }) => parameters.error))], [error], `${hint} ${JSON.stringify(answer.challenges)}`);
  return told[0].parameters;
}

/** That the application was asked, by `user`, and was shown no token. */
export function assertLetIn(answer, user) {
  assert.equal(answer.status, 200, `${JSON.stringify(answer.challenges)} ${answer.body}`);
  assert.deepEqual(values(answer.received, 'x-user'), [user]);
  assert.deepEqual([...values(answer.received, 'authorization'), ...values(answer.received, 'dpop')], [], 'the token is not forwarded');
}
