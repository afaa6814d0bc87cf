// Programs with access tokens: a certified provider issues them, openid-client and Authlib get them and call, and the gateway tells whose they are.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { sessionCookie, values } from './support/browser.mjs';
import { gatewayAddress } from './support/gateway.mjs';
import { NAVIGATION, ask } from './support/http.mjs';
import { until } from './support/processes.mjs';
import { startProvider } from './support/provider.mjs';
import { assertLetIn, assertRefused, callByAuthlib, issueTokens, resourceMetadata, startProgram, startService } from './support/tokens.mjs';
import { startWorld } from './support/world.mjs';

/** How long the answer about a black box is believed. Times are whole seconds, so it is one less at times. */
const RECHECK = 2;

const ROUTES = `
[[routes]]
path = "/"

[[routes]]
path = "/api"
credentials = "bearer"
token_scopes = ["read"]

[[routes]]
path = "/admin"
credentials = "bearer"

[[routes]]
path = "/records"
credentials = "bearer"

[[routes]]
path = "/either"
credentials = "both"

[[routes]]
path = "/forwarded"
credentials = "bearer"
# the client's own, too: an ID token is for it
token_audiences = ["API", "program"]
forward_token = true

[providers.test.bearer]
introspection = "standard"
recheck = "${RECHECK}s"
`;

/** A world whose provider issues tokens for these paths of the gateway, and whose gateway has these routes to the one application. */
async function startTokenWorld(toml, formats, options = {}) {
  const address = await gatewayAddress();
  const resources = Object.fromEntries(Object.entries(formats).map(([path, format]) => [address.publicUrl + path, { format }]));
  return startWorld({
    address,
    provider: { configure: (settings) => issueTokens(settings, resources) },
    configuration: (application) =>
      toml.replaceAll('[[routes]]', `[[routes]]\nupstream = "${application}"`).replaceAll('"API"', `"${address.publicUrl}/api"`),
    ...options,
  });
}

describe('a program with a token', () => {
  let world;
  let program;
  let service;
  /** The address of a path at the gateway, which for the path of a route is also that of the resource. */
  const at = (path) => world.publicUrl + path;
  /** An access token of alice for the route at `path`; for all of the gateway where that is empty. */
  const tokenFor = async (path, options) => (await program.signIn('alice', { resource: at(path), ...options })).access_token;

  before(async () => {
    world = await startTokenWorld(ROUTES, { '': 'jwt', '/api': 'jwt', '/admin': 'jwt', '/records': 'opaque', '/either': 'jwt' });
    program = await startProgram(world.provider.issuer);
    service = await startService(world.provider.issuer);
  });
  after(() => world?.stop());

  describe('that is a JWT', () => {
    test('counts where it is for, and the application learns whose it is', async () => {
      const { access_token: token, token_type } = await program.signIn('alice', { resource: at('/api') });
      assert.equal(token_type, 'bearer');
      const [header] = token.split('.');
      assert.equal(JSON.parse(Buffer.from(header, 'base64url')).typ, 'at+jwt', 'RFC 9068');
      for (const [method, path] of [['GET', '/api'], ['GET', '/api/deep?json'], ['DELETE', '/api/one'], ['POST', '/api/']]) {
        const answer = await program.call(at(path), token, { method });
        assertLetIn(answer, 'alice');
        assert.deepEqual([answer.received.method, answer.received.target], [method, path]);
      }
    });

    test('names nobody but its owner, whatever the caller adds', async () => {
      const authorization = `Bearer ${await tokenFor('/api')}`;
      for (const forged of [{ 'x-user': 'admin' }, { x_user: 'admin' }, { 'x-user': 'admin', connection: 'close, X-User' }]) {
        const answer = await ask(at('/api/?json'), { headers: { authorization, ...forged } });
        assert.equal(answer.status, 200);
        const received = JSON.parse(answer.body);
        assert.deepEqual([...values(received, 'x-user'), ...values(received, 'x_user')], ['alice'], JSON.stringify(forged));
      }
    });

    test('counts nowhere else', async () => {
      const token = await tokenFor('/api', { scope: 'read write' });
      for (const path of ['/admin', '/admin/x', '/records', '/either']) {
        assertRefused(await program.call(at(path), token), 401, 'invalid_token', path);
      }
      assert.equal((await program.call(at('/'), token)).status, 401, 'and where only cookies count, it is not looked at');
      assertLetIn(await program.call(at('/api'), token), 'alice');
    });

    test('counts everywhere when it is for all of the gateway', async () => {
      const token = await tokenFor('');
      for (const path of ['/api', '/admin', '/records', '/either']) assertLetIn(await program.call(at(path), token), 'alice');
      assertRefused(await program.call(at('/forwarded'), token), 401, 'invalid_token', 'but not where the route names its own');
    });

    test('without the scope that the route asks for is told which', async () => {
      const told = assertRefused(await program.call(at('/api'), await tokenFor('/api', { scope: 'write' })), 403, 'insufficient_scope');
      assert.equal(told.scope, 'read');
    });

    test('counts once it is refreshed', async () => {
      const first = await program.signIn('bob', { resource: at('/api') });
      const next = await program.refresh(first.refresh_token, { resource: at('/api') });
      assert.notEqual(next.access_token, first.access_token);
      assertLetIn(await program.call(at('/api'), next.access_token), 'bob');
    });

    test('is not what came along with it', async () => {
      const { id_token, refresh_token } = await program.signIn('alice', { resource: at('/api') });
      for (const [what, token] of Object.entries({ id_token, refresh_token })) {
        for (const path of ['/api', '/forwarded']) assertRefused(await program.call(at(path), token), 401, 'invalid_token', `${what} ${path}`);
      }
    });

    test('counts as it was issued, not as somebody has changed it', async () => {
      const token = await tokenFor('/api');
      const [header, claims, signature] = token.split('.');
      const encode = (json) => Buffer.from(JSON.stringify(json)).toString('base64url');
      const other = encode({ ...JSON.parse(Buffer.from(claims, 'base64url')), sub: 'admin' });
      for (const [what, forged] of Object.entries({
        'other claims': [header, other, signature].join('.'),
        'no signature': [header, claims, ''].join('.'),
        'alg none': [encode({ alg: 'none', typ: 'at+jwt' }), other, ''].join('.'),
        'cut off': token.slice(0, -10),
      })) {
        assertRefused(await program.call(at('/api'), forged), 401, 'invalid_token', what);
      }
    });
  });

  describe('that is a black box', () => {
    /** How often the provider was asked. */
    const introspections = () => world.provider.asked.filter((line) => line === 'POST /token/introspection').length;

    test('counts where it is for: the provider says whose it is', async () => {
      const token = await tokenFor('/records');
      assert.doesNotMatch(token, /\./);
      const before = introspections();
      assertLetIn(await program.call(at('/records/1'), token), 'alice');
      assert.equal(introspections(), before + 1);
      // the same answer; the route is another
      assertRefused(await program.call(at('/api'), token), 401, 'invalid_token');
    });

    test('counts nowhere when it is made up, or is for the provider itself', async () => {
      const made = `made-up-${'token'.repeat(6)}`;
      world.secrets.add('made-up token', made);
      const { access_token: forUserinfo } = await program.signIn('alice');
      for (const [what, token] of Object.entries({ 'made up': made, 'for userinfo': forUserinfo })) {
        for (const path of ['/records', '/api']) assertRefused(await program.call(at(path), token), 401, 'invalid_token', `${what} ${path}`);
      }
    });

    test('that the provider has revoked counts until the answer about it is too old, and not again', async () => {
      const token = await tokenFor('/records');
      assertLetIn(await program.call(at('/records'), token), 'alice');
      // just asked: the whole of `recheck` is ahead
      await until('a fresh answer', async () => {
        const before = introspections();
        assertLetIn(await program.call(at('/records'), token), 'alice');
        return introspections() > before;
      });
      const asked = introspections();
      await program.revoke(token);
      const revoked = performance.now();
      let believed = 0;
      const refused = await until('the token to be refused', async () => {
        const answer = await program.call(at('/records'), token);
        if (answer.status === 401) return answer;
        assertLetIn(answer, 'alice');
        assert.equal(introspections(), asked, 'let in by the answer of before');
        believed += 1;
      });
      assert.ok(believed > 0, 'the answer was still good right after');
      assert.ok(performance.now() - revoked < (RECHECK + 1) * 1000, `${performance.now() - revoked} ms`);
      assertRefused(refused, 401, 'invalid_token');
      assertRefused(await program.call(at('/records'), token), 401, 'invalid_token');
    });
  });

  describe('that is bound to a key (DPoP)', () => {
    for (const [path, alg] of [['/api', 'ES256'], ['/admin', 'EdDSA'], ['/records', 'ES256']]) {
      test(`counts with a proof at ${path}, by ${alg}`, async () => {
        const dpop = await program.newKey(alg);
        const tokens = await program.signIn('alice', { resource: at(path), dpop });
        assert.equal(tokens.token_type, 'dpop');
        for (const [method, target] of [['GET', path], ['GET', `${path}/deep?query=1&json`], ['DELETE', `${path}/one`]]) {
          assertLetIn(await program.call(at(target), tokens.access_token, { method, dpop }), 'alice');
        }
        const next = await program.refresh(tokens.refresh_token, { resource: at(path), dpop });
        assertLetIn(await program.call(at(path), next.access_token, { dpop }), 'alice');
      });

      test(`counts in nobody else's hands at ${path}`, async () => {
        const dpop = await program.newKey(alg);
        const token = await tokenFor(path, { dpop });
        const asBearer = await program.call(at(path), token);
        assertRefused(asBearer, 401, 'invalid_token');
        assert.ok(asBearer.challenges.some(({ scheme, parameters }) => scheme === 'dpop' && parameters.algs.split(' ').includes('ES256')));
        const answer = await program.call(at(path), token, { dpop: await program.newKey(alg) });
        assertProofRefused(answer, 'a proof by another key');
      });
    }

    test('needs a proof for this very request, that nobody has used', async () => {
      const dpop = await program.newKey();
      const token = await tokenFor('/api', { dpop });
      const other = await tokenFor('/api', { dpop });
      const prepare = (path, options) => program.headersFor(at(path), token, { dpop, ...options });
      const proof = await prepare('/api/one');
      world.secrets.add('proof', proof.dpop);
      for (const [what, path, headers] of [
        ['another address', '/api/two', await prepare('/api/one')],
        ['below it', '/api/one/more', await prepare('/api/one')],
        ['another route', '/api', await prepare('/admin')],
        ['another method', '/api/one', await prepare('/api/one', { method: 'POST' })],
        ['another token', '/api/one', { ...(await prepare('/api/one')), authorization: `DPoP ${other}` }],
        ['as Bearer', '/api/one', { ...(await prepare('/api/one')), authorization: `Bearer ${token}` }],
        ['without', '/api/one', { authorization: `DPoP ${token}` }],
        ['not a proof', '/api/one', { authorization: `DPoP ${token}`, dpop: token }],
      ]) {
        const answer = await ask(at(path), { headers });
        assert.equal(answer.status, 401, `${what}: ${answer.body}`);
        assert.match(answer.headers['www-authenticate'], /\bDPoP\b.*algs="/, what);
      }

      assert.equal((await ask(at('/api/one?json'), { headers: proof })).status, 200, 'the query is not part of it');
      const replayed = await ask(at('/api/one?json'), { headers: proof });
      assert.equal(replayed.status, 401);
      assert.match(replayed.headers['www-authenticate'], /error="invalid_dpop_proof"/);
    });

    test('a token that is bound to none does not become better by a proof', async () => {
      const token = await tokenFor('/api');
      const answer = await program.call(at('/api'), token, { dpop: await program.newKey() });
      assert.equal(answer.status, 401, answer.body);
    });

    function assertProofRefused(answer, hint) {
      assert.equal(answer.status, 401, `${hint}: ${answer.body}`);
      const [told] = answer.challenges.filter(({ scheme, parameters }) => scheme === 'dpop' && parameters.error);
      assert.equal(told?.parameters.error, 'invalid_dpop_proof', `${hint}: ${JSON.stringify(answer.challenges)}`);
    }
  });

  describe('and no browser', () => {
    // a caller that knows nothing but the address of the API
    test('finds out where tokens for it come from', async () => {
      for (const path of ['/api', '/admin', '/records', '/either']) {
        const answer = await program.call(at(`${path}/deep`), 'made-up');
        const told = assertRefused(answer, 401, 'invalid_token', path);
        assert.ok(told.error_description, 'a sentence for whoever wrote the program');
        assert.equal(told.resource_metadata, at(`/.well-known/oauth-protected-resource${path}`));
        const metadata = await resourceMetadata(at(path));
        assert.equal(metadata.resource, at(path));
        assert.deepEqual(metadata.authorization_servers, [world.provider.issuer]);
      }
      const { authorization_servers: [issuer], resource } = await resourceMetadata(at('/api'));
      const found = await startProgram(issuer);
      const { access_token } = await found.signIn('carol', { resource });
      assertLetIn(await found.call(resource, access_token), 'carol');
    });

    test('that brings nothing is asked for a token and told of no error', async () => {
      const answer = await ask(at('/api'));
      assert.equal(answer.status, 401);
      assert.match(answer.headers['www-authenticate'], /^Bearer\b/);
      assert.doesNotMatch(answer.headers['www-authenticate'], /error=/, 'RFC 6750 §3.1');
      assert.match(answer.headers['www-authenticate'], /resource_metadata="/);
    });

    test('brings it in a header and nowhere else', async () => {
      const resource = at('/api');
      const wanted = { issuer: world.provider.issuer, resource, scope: 'read', url: at('/api/x?json') };
      const answer = await callByAuthlib(wanted);
      assert.equal(answer.status, 200, answer.body);
      const received = JSON.parse(answer.body);
      assert.deepEqual(values(received, 'x-user'), ['service'], 'a program that acts for itself');
      assert.deepEqual(values(received, 'authorization'), []);
      for (const placed of ['uri', 'body']) {
        const refused = await callByAuthlib({ ...wanted, placed });
        assert.equal(refused.status, 401, placed);
        assert.doesNotMatch(refused.authenticate, /error=/, `${placed}: as if there were none`);
      }
      const { status, authenticate } = await callByAuthlib({ ...wanted, scope: 'write' });
      assert.equal(status, 403);
      assert.match(authenticate, /error="insufficient_scope".*scope="read"|scope="read".*error="insufficient_scope"/);
    });

    test('gets tokens for itself by openid-client, too', async () => {
      const dpop = await service.newKey();
      const { access_token } = await service.forItself({ resource: at('/admin'), dpop });
      assertLetIn(await service.call(at('/admin'), access_token, { dpop }), 'service');
    });
  });

  describe('beside people with a cookie', () => {
    let cookie;
    before(async () => (cookie = await sessionCookie(world.publicUrl, 'bob', { secrets: world.secrets })));

    test('where both count: either, and not both at once', async () => {
      const authorization = `Bearer ${await tokenFor('/either')}`;
      for (const [headers, user] of [[{ authorization }, 'alice'], [{ cookie }, 'bob']]) {
        const answer = await ask(at('/either?json'), { headers });
        assert.equal(answer.status, 200, answer.body);
        assert.deepEqual(values(JSON.parse(answer.body), 'x-user'), [user]);
        assert.deepEqual(values(JSON.parse(answer.body), 'authorization'), []);
      }
      const answer = await ask(at('/either?json'), { headers: { authorization, cookie } });
      assert.equal(answer.status, 400);
      assert.match(answer.headers['www-authenticate'], /error="invalid_request"/);
      assert.match(answer.headers['content-type'], /^application\/problem\+json/);
    });

    test('a browser is sent to sign in where cookies count, and nowhere else', async () => {
      for (const [path, status] of [['/', 302], ['/either', 302], ['/api', 401], ['/records', 401]]) {
        const answer = await ask(at(path), { headers: NAVIGATION });
        assert.equal(answer.status, status, path);
        if (status === 302) assert.match(answer.headers.location, /^\/_auth\/login\?/, path);
        else assert.match(answer.headers['www-authenticate'], /^Bearer\b/, path);
      }
    });

    test('a session does not count where only tokens do', async () => {
      for (const path of ['/api', '/admin', '/records', '/forwarded']) {
        assert.equal((await ask(at(path), { headers: { cookie } })).status, 401, path);
        assert.equal((await ask(at(path), { headers: { cookie, ...NAVIGATION } })).status, 401, path);
      }
    });

    test("what only the application knows how to read stays the application's where cookies count", async () => {
      const basic = `Basic ${Buffer.from('somebody:their own password').toString('base64')}`;
      world.secrets.add('password', basic);
      for (const authorization of [basic, 'Bearer of-the-application', 'Custom scheme="its own"']) {
        const answer = await ask(at('/deep?json'), { headers: { cookie, authorization } });
        assert.equal(answer.status, 200, answer.body);
        assert.deepEqual(values(JSON.parse(answer.body), 'authorization'), [authorization]);
        assert.deepEqual(values(JSON.parse(answer.body), 'x-user'), ['bob']);
      }
    });
  });

  test('the application gets the token where the route says so', async () => {
    const token = await tokenFor('/api', { scope: 'read' });
    const answer = await program.call(at('/forwarded?json'), token);
    assert.equal(answer.status, 200, answer.body);
    assert.deepEqual(values(answer.received, 'authorization'), [`Bearer ${token}`]);
    assert.deepEqual(values(answer.received, 'x-user'), ['alice']);
  });

  test('when the provider is away, JWTs count on and nobody answers for a black box', async () => {
    const jwt = await tokenFor('/api');
    const blackBox = await tokenFor('/records');
    assertLetIn(await program.call(at('/api'), jwt), 'alice');
    const { port } = world.provider;
    await world.provider.stop();
    assertLetIn(await program.call(at('/api'), jwt), 'alice');
    const answer = await ask(at('/records'), { headers: { authorization: `Bearer ${blackBox}` } });
    assert.equal(answer.status, 503, answer.body);
    assert.match(answer.headers['retry-after'], /^\d+$/);
    await world.startProvider({ port });
  });

  test('is nowhere in the log', async () => {
    for (const kind of ['access_token', 'id_token', 'refresh_token', 'made-up token', 'proof', 'password', 'cookie', 'client secret']) {
      assert.ok(world.secrets.kinds().has(kind), `looked for a ${kind}`);
    }
    assert.deepEqual(world.secrets.in(world.gateway.log), []);
  });
});

describe('tokens of another issuer, where nobody signs in', () => {
  let world;
  let other;
  let own;
  let theirs;
  before(async () => {
    const address = await gatewayAddress();
    const resources = { [`${address.publicUrl}/api`]: { format: 'jwt' }, [`${address.publicUrl}/theirs`]: { format: 'jwt' } };
    const configure = (settings) => issueTokens(settings, resources);
    other = await startProvider({ configure });
    world = await startWorld({
      address,
      provider: { configure },
      configuration: (upstream) => `
        [[routes]]
        upstream = "${upstream}"

        [[routes]]
        path = "/api"
        upstream = "${upstream}"
        credentials = "both"

        [[routes]]
        path = "/theirs"
        upstream = "${upstream}"
        credentials = "bearer"
        providers = ["other"]

        [providers.test]
        user_prefix = "staff:"

        [providers.other]
        issuer = "${other.issuer}"
        login = false
        user_prefix = "programs:"

        [providers.other.bearer]
        method = "jwt"
      `,
    });
    [own, theirs] = await Promise.all([startProgram(world.provider.issuer), startProgram(other.issuer)]);
  });
  after(async () => {
    await world?.stop();
    await other?.stop();
  });

  test('count where the route takes them, under a name of their own', async () => {
    for (const [program, path, user] of [
      [own, '/api', 'staff:alice'],
      [theirs, '/api', 'programs:alice'],
      [theirs, '/theirs', 'programs:alice'],
    ]) {
      const resource = world.publicUrl + path;
      const { access_token } = await program.signIn('alice', { resource });
      world.secrets.add('access_token', access_token);
      assertLetIn(await program.call(resource, access_token), user);
    }
    const resource = `${world.publicUrl}/theirs`;
    const { access_token } = await own.signIn('alice', { resource });
    assertRefused(await own.call(resource, access_token), 401, 'invalid_token');
  });

  test('are what the metadata of the route leads to', async () => {
    const { issuer } = world.provider;
    for (const [path, servers] of [['/api', [issuer, other.issuer]], ['/theirs', [other.issuer]]]) {
      const { authorization_servers } = await resourceMetadata(world.publicUrl + path);
      assert.deepEqual(authorization_servers.toSorted(), servers.toSorted(), path);
    }
  });

  test('nobody is asked which of the two to sign in with', async () => {
    for (const path of ['/', '/api']) {
      const answer = await ask(world.publicUrl + path, { headers: NAVIGATION });
      assert.equal(answer.status, 302, path);
      const login = await ask(new URL(answer.headers.location, world.publicUrl).href, { headers: NAVIGATION });
      assert.equal(new URL(login.headers.location).origin, world.provider.issuer, path);
    }
  });
});
