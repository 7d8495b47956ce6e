// Registration and its management (RFC 7591, RFC 7592): over this adapter, oidc-provider answers as over its own.
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { createAdapter } from '../index.js';
import { serve, useLocal } from './support.js';

const local = await useLocal();
const JWKS = { keys: [{ kty: 'EC', crv: 'P-256', x: 'MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4', y: '4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM' }] };
const settings = (adapter) => ({
  adapter,
  features: { devInteractions: { enabled: false }, clientCredentials: { enabled: true }, registration: { enabled: true }, registrationManagement: { enabled: true } },
  extraClientMetadata: { properties: ['x_settings'] },
  ttl: { ClientCredentials: 600 },
});
const servers = {
  ours: await serve(settings(createAdapter({ dynamodb: local.dynamodb }))),
  theirs: await serve(settings(undefined)),
};
after(() => Promise.all(Object.values(servers).map((server) => server.stop())));

/** A client of the endpoint. It keeps the last registration, and returns answers in which ids, tokens and times are replaced. */
function caller({ url }) {
  const known = new Map();
  const replaced = (text) => [...known].reduce((result, [value, name]) => result.replaceAll(value, name), text);
  const self = {
    url,
    async call(method, path, { token = self.token, body, form } = {}) {
      const answer = await fetch(url + path, {
        method,
        headers: { ...(token && { authorization: `Bearer ${token}` }), ...(body && { 'content-type': 'application/json' }) },
        body: form ? new URLSearchParams(form) : body && JSON.stringify(body),
      });
      const text = await answer.text();
      const json = text ? JSON.parse(text) : {};
      for (const [name, value] of Object.entries({ id: json.client_id, secret: json.client_secret, token: json.registration_access_token, access: json.access_token })) {
        if (value && !known.has(value)) known.set(value, `<${name} ${known.size}>`);
      }
      if (json.registration_access_token) Object.assign(self, { token: json.registration_access_token, id: json.client_id, secret: json.client_secret });
      if (json.client_id_issued_at) json.client_id_issued_at = '<time>';
      const challenge = answer.headers.get('www-authenticate');
      return { status: answer.status, challenge: challenge?.replaceAll(url, '<server>'), body: JSON.parse(replaced(JSON.stringify(json)).replaceAll(url, '<server>')) };
    },
    register: (body) => self.call('POST', '/reg', { token: null, body }),
    get: (options) => self.call('GET', `/reg/${self.id}`, options),
    put: (body, options) => self.call('PUT', `/reg/${self.id}`, { body: { client_id: self.id, ...body }, ...options }),
    tokens: (secret = self.secret) => self.call('POST', '/token', { token: null, form: { grant_type: 'client_credentials', client_id: self.id, client_secret: secret } }),
  };
  return self;
}

const WEB = { redirect_uris: ['https://client.example/cb'] };
const SERVICE = { redirect_uris: [], response_types: [], grant_types: ['client_credentials'], token_endpoint_auth_method: 'client_secret_post' };
/** Each case: what the client does. The expected statuses show that the case does what its name says. */
const CASES = {
  'registration gives the metadata, a secret and a token': [[201, 200], async (c) => [await c.register(WEB), await c.get()]],
  'rich metadata comes back': [[201, 200], async (c) => [await c.register({ ...WEB, jwks: JWKS, require_auth_time: true, default_max_age: 0, contacts: ['a@b.c'], client_name: 'ü€😀', x_settings: { a: [1, { b: null }], c: '' } }), await c.get()]],
  'a public client has no secret': [[201, 200], async (c) => [await c.register({ ...WEB, token_endpoint_auth_method: 'none' }), await c.get()]],
  'an invalid registration stores nothing': [[400, 401], async (c) => { const first = await c.register({ redirect_uris: ['no uri'] }); c.id = 'none'; return [first, await c.get({ token: 'x' })]; }],
  'a wrong token, no token, the token of another client': [[201, 401, 401, 201, 401, 401], async (c) => {
    const [first, wrong] = [await c.register(WEB), await c.get({ token: 'wrong' })];
    const { id, token } = c;
    const without = await c.get({ token: null });
    const other = await c.register(WEB);
    c.id = id;
    const [got, put] = [await c.get(), await c.put(WEB)];
    c.token = token;
    return [first, wrong, without, other, got, put];
  }],
  'an update replaces the metadata, and rotates the token': [[201, 200, 200, 401, 401], async (c) => {
    const first = await c.register({ ...WEB, client_name: 'first', contacts: ['a@b.c'] });
    const old = c.token;
    return [first, await c.put({ ...WEB, client_name: 'second' }), await c.get(), await c.get({ token: old }), await c.put(WEB, { token: old })];
  }],
  'an update removes what is null or empty': [[201, 200, 200], async (c) => [await c.register({ ...WEB, client_name: 'n', policy_uri: 'https://client.example/p' }), await c.put({ ...WEB, client_name: '', policy_uri: null }), await c.get()]],
  'an update keeps the secret, and refuses a wrong one': [[201, 200, 200, 400, 200], async (c) => {
    const first = await c.register(WEB);
    const { secret } = c;
    return [first, await c.put(WEB), await c.put({ ...WEB, client_secret: secret }), await c.put({ ...WEB, client_secret: 'wrong' }), await c.get()];
  }],
  'a secret is made when a client begins to need one': [[201, 200, 200], async (c) => [await c.register({ ...WEB, token_endpoint_auth_method: 'none' }), await c.put(WEB), await c.get()]],
  'an update refuses forbidden members, another id, and no JSON': [[201, 400, 400, 400, 400, 400, 400, 200], async (c) => [
    await c.register(WEB),
    await c.put({ ...WEB, registration_access_token: 'x' }), await c.put({ ...WEB, registration_client_uri: 'x' }),
    await c.put({ ...WEB, client_secret_expires_at: 0 }), await c.put({ ...WEB, client_id_issued_at: 0 }),
    await c.put({ ...WEB, client_id: 'another' }), await c.put({ ...WEB, redirect_uris: ['no uri'] }), await c.get(),
  ]],
  'a secret gets a token, a wrong one does not, also after an update': [[201, 200, 401, 200, 200, 401], async (c) => [
    await c.register(SERVICE), await c.tokens(), await c.tokens('wrong'), await c.put(SERVICE), await c.tokens(), await c.tokens('wrong'),
  ]],
};

for (const [name, [statuses, run]] of Object.entries(CASES)) {
  it(name, async () => {
    const [ours, theirs] = [await run(caller(servers.ours)), await run(caller(servers.theirs))];
    assert.deepEqual(theirs.map(({ status }) => status), statuses);
    assert.deepEqual(ours, theirs);
  });
}

describe('with deregister', () => {
  const remove = (id, token) => fetch(`${local.front}/reg/${id}`, { method: 'DELETE', headers: { authorization: `Bearer ${token}` } });
  it('a client that registers itself is dynamic and unused, and its token is only stored as a digest', async () => {
    const c = caller(servers.ours);
    await c.register(WEB);
    const { client: { M: client }, idle, idle_since: since } = await local.client(c.id);
    assert.deepEqual([client.kind.S, client.dynamic.BOOL, client.version.N, idle.S.slice(0, 7)], ['oauth', true, '2', 'unused#']);
    assert.ok(Math.abs(Number(since.N) - Date.now() / 1000) < 5);
    assert.equal(JSON.stringify(client).includes(c.token), false);
  });
  it('after a rotation, deregister refuses the old token and takes the new one; then the client is refused here at once', async () => {
    const c = caller(servers.ours);
    await c.register(SERVICE);
    const { token: old, id } = c;
    local.calls.length = 0;
    await c.put({ ...SERVICE, client_name: 'n' });
    assert.deepEqual(local.calls, ['GetItem clients', 'UpdateItem clients', 'UpdateItem clients']);
    assert.equal((await remove(id, old)).status, 401);
    const { body: { access_token: access } } = await c.tokens();
    assert.ok(access);
    assert.equal((await remove(id, c.token)).status, 204);
    for (const answer of [await c.get(), await c.put(SERVICE), await c.tokens()]) assert.equal(answer.status, 401);
    assert.equal((await c.tokens()).body.error, 'invalid_client');
    assert.equal(await createAdapter({ dynamodb: local.dynamodb })('ClientCredentials').find(c.id), undefined);
  });
  it('a client that is deleted during its update is not written', async () => {
    const c = caller(servers.ours);
    await c.register(WEB);
    local.intercept = async (call, run) => {
      if (call === 'UpdateItem clients') { local.intercept = undefined; assert.equal((await remove(c.id, c.token)).status, 204); }
      return run();
    };
    assert.equal((await c.put(WEB)).status, 401);
    const item = await local.client(c.id);
    assert.deepEqual([item.client, Boolean(item.tombstone)], [undefined, true]);
  });
  it('an id of a deleted client is not registered again', async () => {
    const c = caller(servers.ours);
    await c.register(WEB);
    await remove(c.id, c.token);
    const taken = c.id;
    const again = await serve({ ...settings(createAdapter({ dynamodb: local.dynamodb })), features: { ...settings().features, registration: { enabled: true, idFactory: () => taken } } });
    const answer = await fetch(`${again.url}/reg`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(WEB) });
    await again.stop();
    assert.equal(answer.status, 500);
    assert.equal((await local.client(taken)).client, undefined);
  });
});

it('of two rotations at the same time, one fails, and its client asks again', async () => {
  const client = caller(servers.ours);
  await client.register(WEB);
  const { token } = client;
  const answers = await Promise.all([client.put(WEB, { token }), client.put(WEB, { token })]);
  assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 401]);
  assert.equal((await client.get()).status, 200);
});
