// The adapter of each model: what it stores, what it accepts, and what it hands out.
import assert from 'node:assert/strict';
import { after, beforeEach, describe, it } from 'node:test';
import { CreateTableCommand, DescribeTableCommand } from '@aws-sdk/client-dynamodb';
import { errors } from 'oidc-provider';
import { createAdapter, grantsTable, importClient } from 'deregister-oidc-provider';
import { connect, startLocal } from './local.js';
import { blocked, deleted, digest, live, newId, now, restored, revoked, serve, used, useLocal } from './support.js';

const local = await useLocal();
const ISSUED_TO_CLIENTS = ['AccessToken', 'AuthorizationCode', 'BackchannelAuthenticationRequest', 'ClientCredentials', 'DeviceCode', 'Grant', 'PreAuthorizedCode', 'RefreshToken'];
const OTHERS = ['Session', 'Interaction', 'ReplayDetection', 'InitialAccessToken', 'PushedAuthorizationRequest'];
const server = await serve({ adapter: createAdapter({ dynamodb: local.dynamodb }), features: { devInteractions: { enabled: false } } });
after(() => server.stop());
beforeEach(() => { local.calls.length = 0; local.intercept = undefined; });

const adapter = (model, settings) => local.adapter(model, settings);
const payload = (clientId, members = {}) => ({ iat: now(), exp: now() + 60, kind: 'any', jti: 'is not stored', clientId, ...members });
const liveClient = async (attributes) => { const id = newId(); await local.putClient(id, attributes ?? live({}, used(id, now()))); return id; };
/** A consent that is stored, of a live client unless told otherwise. */
const consentOf = async (clientId, iat = now()) => { const id = newId(); await adapter('Grant').upsert(id, payload(clientId, { iat }), 60); return id; };

describe('clients', () => {
  const METADATA = [
    {},
    { client_name: '', redirect_uris: [], contacts: ['a', ''] },
    { require_auth_time: true, backchannel_logout_session_required: false, default_max_age: 0, ratio: 0.1, big: 1e21, negative: -5 },
    { jwks: { keys: [{ kty: 'EC', crv: 'P-256', x: 'x', y: 'y', nested: { deep: [1, [2, {}], null] } }] } },
    { client_secret: 's', client_secret_expires_at: 0, client_id_issued_at: 1800000000, token_endpoint_auth_method: 'client_secret_basic' },
    { 'a name.with#odd characters': 'ü€😀', registration_token: 'metadata of that name', kind: 'oauth', version: 7, metadata: { metadata: 1 } },
  ];
  for (const [index, metadata] of METADATA.entries()) {
    it(`gives back what was stored, table row ${index}`, async () => {
      const id = newId();
      await adapter('Client').upsert(id, { client_id: id, ...metadata });
      assert.deepEqual(await adapter('Client').find(id), { client_id: id, ...metadata });
      const next = METADATA[(index + 1) % METADATA.length];
      await adapter('Client').upsert(id, { client_id: id, ...next });
      assert.deepEqual(await adapter('Client').find(id), { client_id: id, ...next });
    });
  }
  it('leaves out what is undefined', async () => {
    const id = newId();
    await adapter('Client').upsert(id, { client_id: id, client_secret: undefined, jwks: undefined, client_name: 'n' });
    assert.deepEqual(await adapter('Client').find(id), { client_id: id, client_name: 'n' });
  });
  it('keeps the secret beside the metadata', async () => {
    const id = newId();
    await adapter('Client').upsert(id, { client_id: id, client_secret: 's', client_name: 'n' });
    const { client: { M: client } } = await local.client(id);
    assert.deepEqual([client.client_secret, client.metadata], [{ S: 's' }, { M: { client_name: { S: 'n' } } }]);
  });
  it('an update keeps the members of others, and increments the version', async () => {
    const id = await liveClient(live({ protected: { BOOL: true }, service_id: { S: '7' }, own: { S: 'o' }, metadata: { M: { old: { S: 'x' } } }, client_secret: { S: 's' } }));
    await adapter('Client').upsert(id, { client_id: id, client_name: 'n' });
    assert.deepEqual((await local.client(id)).client.M, {
      kind: { S: 'oauth' }, dynamic: { BOOL: true }, version: { N: '2' }, protected: { BOOL: true }, service_id: { S: '7' }, own: { S: 'o' }, metadata: { M: { client_name: { S: 'n' } } },
    });
  });
  it('a client that the server itself writes did not register itself, and is not tracked', async () => {
    const id = newId();
    await adapter('Client').upsert(id, { client_id: id });
    const item = await local.client(id);
    assert.deepEqual([item.client.M.dynamic, item.client.M.version, item.idle], [{ BOOL: false }, { N: '1' }, undefined]);
  });
  it('never writes over a deleted client or a blocked id', async () => {
    for (const attributes of [deleted(), blocked()]) {
      const id = await liveClient(attributes);
      await assert.rejects(adapter('Client').upsert(id, { client_id: id }), errors.InvalidToken);
      assert.equal((await local.client(id)).client, undefined);
    }
  });
  it('what was issued up to the second of a revocation is refused, and later grants are accepted', async () => {
    const [id, at] = [await liveClient(), now()];
    const grants = [[at - 1, false], [at, false], [at + 1, true]].map(([iat, isAccepted]) => [newId(), iat, isAccepted]);
    for (const [grant, iat] of grants) await adapter('AccessToken').upsert(grant, { ...payload(id), iat }, 60);
    await local.putClient(id, revoked(at));
    for (const [grant, , isAccepted] of grants) assert.equal(Boolean(await adapter('AccessToken').find(grant)), isAccepted);
  });
  it('an update by the client never writes an id that is unknown', async () => {
    const id = newId();
    await server.inside(async (ctx) => {
      ctx.oidc.route = 'client_update';
      try { await assert.rejects(adapter('Client').upsert(id, { client_id: id }), errors.InvalidToken); } finally { ctx.oidc.route = 'token'; }
    });
    assert.equal(await local.client(id), undefined);
  });
  it('finds neither deleted nor unknown clients, nor API clients, nor ids that are too long for a key', async () => {
    for (const attributes of [deleted(), blocked(), { client: { M: { kind: { S: 'api' } } } }]) assert.equal(await adapter('Client').find(await liveClient(attributes)), undefined);
    assert.equal(await adapter('Client').find(newId()), undefined);
    assert.equal(await adapter('Client').find('x'.repeat(3000)), undefined);
  });
  it('a token whose digest begins like that of the right one is refused', async () => {
    const [id, tokens] = [await liveClient(), adapter('RegistrationAccessToken')];
    await tokens.upsert('rat', { jti: 'rat', clientId: id });
    let alike = 0;
    while (digest(`rat-${alike}`).slice(0, 2) !== digest('rat').slice(0, 2)) alike += 1;
    const found = (token) => server.inside(async (ctx) => { ctx.params.clientId = id; return Boolean(await tokens.find(token)); });
    assert.deepEqual([await found('rat'), await found(`rat-${alike}`)], [true, false]);
  });
  it('a client of the Configuration API is no client here, and is not changed', async () => {
    const id = await liveClient({ client: { M: { kind: { S: 'api' }, version: { N: '1' } } } });
    assert.equal(await adapter('Client').find(id), undefined);
    await assert.rejects(adapter('Client').upsert(id, { client_id: id, client_name: 'n' }), errors.InvalidToken);
    await assert.rejects(adapter('RegistrationAccessToken').upsert('rat', { jti: 'rat', clientId: id }), errors.InvalidToken);
    assert.deepEqual((await local.client(id)).client.M, { kind: { S: 'api' }, version: { N: '1' } });
  });
  it('a client can belong to a service', async () => {
    const id = newId();
    await adapter('Client', { serviceId: '7' }).upsert(id, { client_id: id });
    assert.deepEqual((await local.client(id)).client.M.service_id, { S: '7' });
    await adapter('Client').upsert(id, { client_id: id, client_name: 'n' });
    assert.deepEqual((await local.client(id)).client.M.service_id, { S: '7' });
  });
  it('an option that is undefined has its default', async () => {
    const [id, grant] = [await liveClient(), newId()];
    await adapter('AccessToken').upsert(grant, payload(id), 60);
    await local.putClient(id, deleted());
    assert.equal(await adapter('AccessToken', { revocationCheck: undefined, grantsTable: undefined }).find(grant), undefined);
  });
  it('a client of an earlier adapter keeps its secret and its registration access token, and counts as used', async () => {
    const [id, options] = [newId(), { dynamodb: local.dynamodb }];
    const before = { client_id: id, client_secret: 's', client_name: 'n' };
    await importClient(options, before, { registrationAccessToken: 'rat' });
    assert.deepEqual(await adapter('Client').find(id), before);
    const { client: { M: client }, idle } = await local.client(id);
    assert.deepEqual([client.dynamic.BOOL, idle.S.split('#')[0]], [true, 'used']);
    const found = await server.inside((ctx) => { ctx.params.clientId = id; return adapter('RegistrationAccessToken').find('rat'); });
    assert.deepEqual([found.jti, found.clientId, found.kind], ['rat', id, 'RegistrationAccessToken']);
    await assert.rejects(importClient(options, before), /taken/);
    const other = newId();
    await importClient(options, { client_id: other }, { dynamic: false });
    const item = await local.client(other);
    assert.deepEqual([item.client.M.dynamic.BOOL, item.idle, item.client.M.registration_token_digest], [false, undefined, undefined]);
  });
  it('does not delete clients', async () => {
    await assert.rejects(adapter('Client').destroy(await liveClient()), /to deregister/);
  });
  it('a registration access token is found in no other place than a request for its client', async () => {
    const id = await liveClient();
    const tokens = adapter('RegistrationAccessToken');
    await tokens.upsert('rat', { jti: 'rat', clientId: id, iat: 5, policies: ['p'] });
    assert.equal(await tokens.find('rat'), undefined);
    await assert.rejects(tokens.destroy('rat'), /request for its client/);
    const inside = (run) => server.inside((ctx) => { ctx.params.clientId = id; return run(); });
    assert.deepEqual(await inside(() => tokens.find('rat')), { iat: 5, policies: ['p'], jti: 'rat', clientId: id });
    assert.equal(await inside(async () => await tokens.find('another') ?? 'none'), 'none');
    const { client: { M: client } } = await local.client(id);
    assert.equal(Buffer.from(client.registration_token_digest.B).toString('hex'), digest('rat'));
    assert.doesNotMatch(JSON.stringify(client), /"rat"/);
    await inside(() => tokens.destroy('another'));
    assert.equal((await local.client(id)).client.M.version.N, '2');
    await inside(() => tokens.destroy('rat'));
    assert.deepEqual(Object.keys((await local.client(id)).client.M).sort(), ['dynamic', 'kind', 'version']);
    await local.putClient(id, deleted());
    await assert.rejects(tokens.upsert('rat', { jti: 'rat', clientId: id }), errors.InvalidToken);
  });
});

describe('every other model', () => {
  for (const model of [...ISSUED_TO_CLIENTS, ...OTHERS]) {
    it(`${model}: upsert, find, destroy, expiry`, async () => {
      const clientId = ISSUED_TO_CLIENTS.includes(model) ? await liveClient() : undefined;
      const id = newId();
      const stored = { ...payload(clientId), jti: id, nested: { a: [1, '', null, false] } };
      if (!clientId) delete stored.clientId;
      await adapter(model).upsert(id, stored, 60);
      assert.deepEqual(await adapter(model).find(id), stored);
      assert.equal(await adapter(model).find(newId()), undefined);
      assert.equal(await adapter('Other').find(id), undefined);
      assert.equal(await adapter(model, { clock: () => (now() + 60) * 1000 }).find(id), undefined);
      const [item] = clientId ? await local.grants(clientId) : [];
      if (clientId) assert.deepEqual([item.id.S, item.grant_id.S, Number(item.expires_at.N) >= now() + 59], [`${model}:${digest(id)}`, item.id.S, true]);
      assert.doesNotMatch(JSON.stringify(item ?? {}), new RegExp(id));
      await adapter(model).upsert(id, { ...stored, nested: 'new' });
      assert.equal((await adapter(model, { clock: () => (now() + 6000) * 1000 }).find(id)).nested, 'new');
      await adapter(model).destroy(id);
      assert.equal(await adapter(model).find(id), undefined);
    });
  }
  it('consume succeeds once, also at the same time', async () => {
    const clientId = await liveClient();
    const [id, model] = [newId(), adapter('AuthorizationCode')];
    await model.upsert(id, payload(clientId), 60);
    const outcomes = await Promise.allSettled([1, 2, 3, 4].map(() => model.consume(id)));
    assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1);
    for (const { reason } of outcomes) assert.ok(!reason || reason instanceof errors.InvalidGrant);
    assert.ok(Math.abs((await model.find(id)).consumed - now()) < 5);
    await model.upsert(id, payload(clientId, { later: true }), 60);
    assert.ok((await model.find(id)).consumed, 'a later upsert does not undo it');
    await assert.rejects(model.consume(newId()), errors.InvalidGrant);
    assert.equal(await model.find(newId()), undefined);
  });
  it('findByUid and findByUserCode find the item, and their id works for the next upsert, but is no token', async () => {
    const clientId = await liveClient();
    for (const [model, member, find] of [['Session', 'uid', 'findByUid'], ['DeviceCode', 'userCode', 'findByUserCode']]) {
      const [id, value] = [newId(), newId()];
      const stored = payload(model === 'DeviceCode' ? clientId : undefined, { [member]: value });
      await adapter(model).upsert(id, stored, 60);
      const found = await adapter(model)[find](value);
      assert.equal(found[member], value);
      assert.notEqual(found.jti, id);
      assert.equal(await adapter(model).find(found.jti), undefined);
      await adapter(model).upsert(found.jti, { ...found, approved: true }, 60);
      assert.equal((await adapter(model).find(id)).approved, true);
      assert.equal(await adapter(model)[find](newId()), undefined);
      assert.equal(await adapter(model, { clock: () => (now() + 60) * 1000 })[find](value), undefined);
      await adapter(model).destroy(found.jti);
      assert.equal(await adapter(model)[find](value), undefined);
    }
  });
  it('an interaction finds its device code by the id that findByUserCode gave', async () => {
    const [clientId, id, userCode] = [await liveClient(), newId(), newId()];
    await adapter('DeviceCode').upsert(id, payload(clientId, { userCode }), 60);
    const { jti } = await adapter('DeviceCode').findByUserCode(userCode);
    const found = await server.inside(async (ctx) => {
      ctx.oidc.route = 'device_resume';
      try { return await adapter('DeviceCode').find(jti); } finally { ctx.oidc.route = 'token'; }
    });
    assert.equal(found.userCode, userCode);
  });
  it('a pushed authorization request belongs to the client that sent it', async () => {
    const clientId = await liveClient();
    const [id, model] = [newId(), adapter('PushedAuthorizationRequest')];
    await server.inside((ctx) => { ctx.oidc.entity('Client', { clientId }); return model.upsert(id, { iat: now(), request: 'r' }, 60); });
    assert.equal((await local.grants(clientId)).length, 1);
    assert.equal((await model.find(id)).request, 'r');
    await local.putClient(clientId, deleted());
    assert.equal(await model.find(id), undefined);
  });
  it('the table of grantsTable has the index that the adapter and the cascade use', async () => {
    await local.raw.send(new CreateTableCommand(grantsTable('others', 'by_client')));
    const cascade = await startLocal(['--grants-index'], { AWS_LAMBDA_LOG_LEVEL: 'ERROR' });
    const describe = async (dynamodb, TableName) => (await dynamodb.send(new DescribeTableCommand({ TableName }))).Table;
    const [made, ours] = [await describe(local.raw, 'others'), await describe(cascade.dynamodb, 'grants')];
    await cascade.stop();
    const keys = (index) => [index.KeySchema, index.Projection.ProjectionType, index.Projection.NonKeyAttributes];
    assert.deepEqual(made.KeySchema, ours.KeySchema);
    assert.deepEqual(keys(made.GlobalSecondaryIndexes[0]), keys(ours.GlobalSecondaryIndexes[0]));
    const settings = { grantsTable: 'others', grantsIndex: 'by_client' };
    const [clientId, grantId, id] = [await liveClient(), newId(), newId()];
    await adapter('Grant', settings).upsert(grantId, payload(clientId), 60);
    await adapter('AccessToken', settings).upsert(id, payload(clientId, { grantId }), 60);
    await adapter('AccessToken', settings).revokeByGrantId(grantId);
    assert.equal(await adapter('AccessToken', settings).find(id), undefined);
  });
});

describe('revokeByGrantId', () => {
  const TOKENS = ['AccessToken', 'RefreshToken', 'AuthorizationCode'];
  it('removes the grants of the consent, and no others', async () => {
    const clientId = await liveClient();
    const [grantId, other] = [await consentOf(clientId), await consentOf(clientId)];
    const ids = Array.from({ length: 60 }, newId);
    await Promise.all(ids.map((id) => adapter('AccessToken').upsert(id, payload(clientId, { grantId }), 60)));
    const spared = newId();
    await adapter('AccessToken').upsert(spared, payload(clientId, { grantId: other }), 60);
    await adapter('RefreshToken').revokeByGrantId(grantId);
    assert.equal((await local.grants(clientId)).filter(({ grant_id: grant }) => grant.S === `Grant:${digest(grantId)}`).length, 1, 'the consent itself');
    assert.ok(await adapter('AccessToken').find(spared));
    assert.ok(await adapter('Grant').find(grantId));
  });
  it('refuses what the index does not show, and accepts what is issued later', async () => {
    const clientId = await liveClient();
    const grantId = await consentOf(clientId);
    const [id, later] = [newId(), newId()];
    await adapter('RefreshToken').upsert(id, payload(clientId, { grantId }), 60);
    local.intercept = async (call, run) => (call.startsWith('Query') ? { output: { Items: [] }, response: {} } : run());
    await adapter('RefreshToken').revokeByGrantId(grantId);
    assert.equal((await local.grants(clientId)).length, 2, 'the refresh token is still stored');
    assert.equal(await adapter('RefreshToken').find(id), undefined);
    await adapter('RefreshToken').upsert(later, payload(clientId, { grantId }), 60);
    assert.ok(await adapter('RefreshToken').find(later));
    await adapter('Grant').upsert(grantId, payload(clientId, { more: 'scope' }), 60);
    assert.equal(await adapter('RefreshToken').find(id), undefined, 'a later upsert of the consent does not undo it');
  });
  it('within a request, several models at once and the removal of the consent are one run', async () => {
    const clientId = await liveClient();
    const grantId = await consentOf(clientId);
    for (const model of TOKENS) await adapter(model).upsert(newId(), payload(clientId, { grantId }), 60);
    local.calls.length = 0;
    const create = createAdapter({ dynamodb: local.dynamodb });
    await server.inside(() => Promise.all([...TOKENS.map((model) => create(model).revokeByGrantId(grantId)), create('Grant').destroy(grantId)]));
    assert.equal(local.calls.filter((call) => call.startsWith('Query')).length, 1);
    assert.deepEqual(await local.grants(clientId), []);
  });
  it('another request does not join a run: it revokes what was issued since', async () => {
    const clientId = await liveClient();
    const [grantId, later] = [await consentOf(clientId), newId()];
    await adapter('AccessToken').upsert(newId(), payload(clientId, { grantId }), 60);
    const create = createAdapter({ dynamodb: local.dynamodb });
    let second;
    local.intercept = async (call, run) => {
      const result = await run();
      if (call.startsWith('Query')) {
        local.intercept = undefined;
        await create('RefreshToken').upsert(later, payload(clientId, { grantId }), 60);
        second = create('RefreshToken').revokeByGrantId(grantId);
        await second;
      }
      return result;
    };
    await create('AccessToken').revokeByGrantId(grantId);
    assert.ok(second);
    assert.equal(await create('RefreshToken').find(later), undefined);
  });
  it('a token whose consent is gone is refused, and its revocation changes nothing', async () => {
    const clientId = await liveClient();
    const [grantId, id] = [await consentOf(clientId), newId()];
    await adapter('AccessToken').upsert(id, payload(clientId, { grantId }), 60);
    await adapter('Grant').destroy(grantId);
    assert.equal(await adapter('AccessToken').find(id), undefined);
    await adapter('AccessToken').revokeByGrantId(grantId);
    assert.equal(await adapter('Grant').find(grantId), undefined);
  });
  it('what is issued while its consent is revoked is not handed out', async () => {
    const clientId = await liveClient();
    const grantId = await consentOf(clientId);
    await server.inside(async () => {
      await adapter('Grant').find(grantId);
      const create = createAdapter({ dynamodb: local.dynamodb });
      await create('Grant').find(grantId);
      local.intercept = async (call, run, input) => {
        if (call === 'UpdateItem grants' && input.Key.id.S.startsWith('AccessToken')) {
          local.intercept = undefined;
          await adapter('RefreshToken').revokeByGrantId(grantId);
        }
        return run();
      };
      await assert.rejects(create('AccessToken').upsert(newId(), payload(clientId, { grantId }), 60), errors.InvalidGrant);
    });
    assert.equal((await local.grants(clientId)).length, 1, 'the consent itself');
  });
});

describe('the revocation check', () => {
  const stored = async (attributes, model = 'AccessToken', iat = now()) => {
    const clientId = await liveClient();
    const id = newId();
    await adapter(model).upsert(id, payload(clientId, { iat }), 60);
    await local.putClient(clientId, attributes(clientId));
    return { clientId, id };
  };
  for (const model of ISSUED_TO_CLIENTS) {
    it(`${model} of a deleted client is refused, of a live one accepted`, async () => {
      const { clientId, id } = await stored(deleted, model);
      assert.equal(await adapter(model).find(id), undefined);
      assert.ok(await adapter(model, { revocationCheck: false }).find(id));
      await local.putClient(clientId, live());
      assert.ok(await adapter(model).find(id));
    });
  }
  it('of a client without an item is refused', async () => {
    const id = newId();
    await adapter('AccessToken', { revocationCheck: false }).upsert(id, payload(newId()), 60);
    assert.equal(await adapter('AccessToken').find(id), undefined);
  });
  it('what was issued up to the second of the restoration is refused, what was issued later is accepted', async () => {
    const at = now() - 100;
    for (const [iat, accepted] of [[at - 1, false], [at, false], [at + 1, true]]) {
      for (const history of [restored(at - 5, at), restored(at, at - 5)]) {
        const { id } = await stored(() => history, 'AccessToken', iat);
        assert.equal(Boolean(await adapter('AccessToken').find(id)), accepted, `${iat - at}`);
      }
    }
  });
  const UNREADABLE = {
    'client is no map': { client: { S: 'x' } },
    'no kind': { client: { M: {} } },
    'an unknown kind': live({ kind: { S: 'saml' } }),
    'dynamic is no Boolean': live({ dynamic: { S: 'true' } }),
    'history is no list': live({}, { history: { M: {} } }),
    'a past deletion is no map': live({}, { history: { L: [{ S: 'x' }] } }),
    'no restoration': live({}, { history: { L: [{ M: {} }] } }),
    'a restoration without a time': live({}, { history: { L: [{ M: { restored: { M: {} } } }] } }),
    'a restoration at no whole second': live({}, { history: { L: [{ M: { restored: { M: { at: { N: '1.5' } } } } }] } }),
    'deleted is no map': { deleted: { S: 'x' } },
    'neither client nor deletion': { expires_at: { N: '1' } },
  };
  for (const [name, attributes] of Object.entries(UNREADABLE)) {
    it(`an unreadable item is an error: ${name}`, async () => {
      const { clientId, id } = await stored(() => attributes);
      await assert.rejects(adapter('AccessToken').find(id), /unreadable/);
      await assert.rejects(adapter('Client').find(clientId), /unreadable/);
      await assert.rejects(adapter('AccessToken').upsert(newId(), payload(clientId), 60), /unreadable/);
    });
  }
  it('if the database fails, nothing is accepted', async () => {
    const { id } = await stored(() => live());
    local.intercept = async (call, run) => { if (call === 'GetItem clients') throw new Error('down'); return run(); };
    await assert.rejects(adapter('AccessToken').find(id), /down/);
    local.intercept = undefined;
    const dynamodb = connect('http://127.0.0.1:1', { maxAttempts: 1 });
    for (const model of ['Client', 'AccessToken', 'Session']) await assert.rejects(createAdapter({ dynamodb })(model).find(id), /ECONNREFUSED/);
    dynamodb.destroy();
  });
  it('reads are strongly consistent, of exactly the attributes that the permissions allow, and never of the tombstone', async () => {
    const { id } = await stored(deleted);
    local.intercept = async (call, run, input) => {
      assert.equal(input.ConsistentRead, true);
      if (call === 'GetItem clients') assert.equal(input.ProjectionExpression, '#client, deleted, history, idle, idle_since');
      return run();
    };
    assert.equal(await adapter('AccessToken').find(id), undefined);
    assert.deepEqual(local.calls.slice(-2), ['GetItem grants', 'GetItem clients']);
  });
});

describe('store, then check', () => {
  for (const model of ISSUED_TO_CLIENTS) {
    it(`${model}: if the client is deleted in between, it is not handed out, and nothing is left`, async () => {
      const clientId = await liveClient();
      local.intercept = async (call, run) => {
        const result = await run();
        if (call === 'UpdateItem grants') await local.putClient(clientId, deleted());
        return result;
      };
      const refused = adapter(model).upsert(newId(), payload(clientId, model === 'DeviceCode' ? { userCode: newId() } : {}), 60);
      await assert.rejects(refused, (error) => error.statusCode === 401 && error.error === 'invalid_client' && !error.allow_redirect);
      assert.deepEqual(await local.grants(clientId), []);
    });
  }
  it('the check compares the issue time of what the request presented', async () => {
    const clientId = await liveClient();
    const code = newId();
    const create = createAdapter({ dynamodb: local.dynamodb });
    await create('AuthorizationCode').upsert(code, payload(clientId, { iat: now() - 20 }), 60);
    await server.inside(async () => {
      assert.ok(await create('AuthorizationCode').find(code));
      // Deleted and restored before the token is issued. The new token itself is later than the restoration.
      await local.putClient(clientId, restored(now() - 15, now() - 10));
      await assert.rejects(create('AccessToken').upsert(newId(), payload(clientId), 60), errors.InvalidGrant);
      assert.equal(await create('AuthorizationCode').find(code), undefined);
    });
    assert.deepEqual((await local.grants(clientId)).map(({ id }) => id.S.split(':')[0]), ['AuthorizationCode']);
    await create('AccessToken').upsert(newId(), payload(clientId), 60);
  });
  it('if the check fails, the error is passed on', async () => {
    const clientId = await liveClient();
    local.intercept = async (call, run) => { if (call === 'GetItem clients') throw new Error('down'); return run(); };
    await assert.rejects(adapter('AccessToken').upsert(newId(), payload(clientId), 60), /down/);
  });
  it('within a request, the status is read once to accept, and again for each grant that is issued', async () => {
    const clientId = await liveClient();
    const create = createAdapter({ dynamodb: local.dynamodb });
    const grantId = newId();
    await create('Grant').upsert(grantId, payload(clientId), 60);
    const id = newId();
    await create('AccessToken').upsert(id, payload(clientId, { grantId }), 60);
    local.calls.length = 0;
    await server.inside(async () => {
      await create('Client').find(clientId);
      await create('AccessToken').find(id);
      await create('Grant').find(grantId);
      await create('Client').find(clientId);
      assert.deepEqual(local.calls, ['GetItem clients', 'GetItem grants', 'GetItem grants']);
      await create('RefreshToken').upsert(newId(), payload(clientId, { grantId }), 60);
      assert.deepEqual(local.calls.slice(3), ['UpdateItem grants', 'GetItem clients', 'GetItem grants']);
    });
  });
});

describe('noting uses', () => {
  const notes = () => local.calls.filter((call) => call === 'UpdateItem clients').length;
  const tokenOf = async (attributes, settings) => {
    const clientId = newId();
    await local.putClient(clientId, live());
    const id = newId();
    await adapter('AccessToken', { revocationCheck: false }).upsert(id, payload(clientId), 9000);
    await local.putClient(clientId, attributes(clientId));
    local.calls.length = 0;
    return { clientId, id, find: () => adapter('AccessToken', settings).find(id) };
  };
  it('the first use is noted, the next within the hour is not, the next after it is', async () => {
    const { clientId, id, find } = await tokenOf((client) => live({}, { idle: { S: `unused#${digest(client)[0]}` }, idle_since: { N: String(now()) } }));
    assert.ok(await find());
    const { idle, idle_since: since } = await local.client(clientId);
    assert.equal(idle.S, `used#${digest(clientId)[0]}`);
    assert.ok(Math.abs(Number(since.N) - now()) < 5);
    assert.ok(await find());
    assert.equal(notes(), 1);
    assert.ok(await adapter('AccessToken', { clock: () => Date.now() + 3_500_000 }).find(id));
    assert.equal(notes(), 1);
    assert.ok(await adapter('AccessToken', { clock: () => Date.now() + 3_700_000 }).find(id));
    assert.equal(notes(), 2);
  });
  it('within a request, a use is noted once', async () => {
    const { clientId, id } = await tokenOf(() => live());
    const create = createAdapter({ dynamodb: local.dynamodb });
    await server.inside(async () => {
      assert.ok(await create('AccessToken').find(id));
      assert.ok(await create('AccessToken').find(id));
      await create('AccessToken').upsert(newId(), payload(clientId), 60);
    });
    assert.equal(notes(), 1);
  });
  it('an issued grant is a use, a registration and Client.find are none', async () => {
    const id = newId();
    await adapter('Client').upsert(id, { client_id: id });
    await adapter('Client').find(id);
    await local.putClient(id, live());
    await adapter('Client').find(id);
    assert.equal((await local.client(id)).idle, undefined);
    await adapter('Grant').upsert(newId(), payload(id), 60);
    assert.equal((await local.client(id)).idle.S, `used#${digest(id)[0]}`);
  });
  it('clients that did not register themselves are not tracked', async () => {
    const { clientId, find } = await tokenOf(() => live({ dynamic: { BOOL: false } }));
    assert.ok(await find());
    assert.deepEqual([notes(), (await local.client(clientId)).idle], [0, undefined]);
  });
  it('attributes that cannot be read are replaced', async () => {
    for (const since of ['253402300800', '99999999999999']) {
      const { clientId, find } = await tokenOf((client) => live({}, used(client, since)));
      assert.ok(await find());
      assert.ok(Math.abs(Number((await local.client(clientId)).idle_since.N) - now()) < 5);
    }
  });
  it('if another process notes a use meanwhile, it is accepted; if the client is deleted, it is refused', async () => {
    for (const [attributes, accepted] of [[(id) => live({}, used(id, now())), true], [deleted, false], [() => restored(now(), now()), false]]) {
      const { clientId, find } = await tokenOf(() => live());
      local.intercept = async (call, run) => {
        if (call === 'UpdateItem clients') { local.intercept = undefined; await local.putClient(clientId, attributes(clientId)); if (!accepted && attributes !== deleted) throw Object.assign(new Error(), { name: 'ValidationException' }); }
        return run();
      };
      assert.equal(Boolean(await find()), accepted);
    }
  });
  it('an item without room for the note is accepted', async () => {
    const { find } = await tokenOf(() => live());
    local.intercept = async (call, run) => { if (call === 'UpdateItem clients') throw Object.assign(new Error(), { name: 'ValidationException' }); return run(); };
    assert.ok(await find());
    local.intercept = async (call, run) => { if (call === 'UpdateItem clients') throw new Error('down'); return run(); };
    await assert.rejects(find(), /down/);
  });
});
