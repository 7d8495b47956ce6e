// Whole requests of oidc-provider over this adapter: how many calls they make, and what a deletion in the middle does.
import assert from 'node:assert/strict';
import { after, beforeEach, it } from 'node:test';
import { createAdapter } from '../index.js';
import { Agent } from '../proof/agent.js';
import { authorizationServer, introspect, listen, mcpServer } from '../proof/servers.js';
import { blocked, deleted, now, restored, serve, useLocal } from './support.js';

const local = await useLocal();
const [as, mcp] = [await listen(), await listen()];
let agent;
let id;
const SERVICE = {
  client_id: 'static-service', client_secret: 'a secret of this test', redirect_uris: [], response_types: [],
  grant_types: ['client_credentials'], token_endpoint_auth_method: 'client_secret_post', scope: 'tools',
};
as.use(authorizationServer(as.url, createAdapter({ dynamodb: local.dynamodb }), undefined, [SERVICE]).callback());
mcp.use(await mcpServer(mcp.url, as.url));
after(() => Promise.all([as.stop(), mcp.stop()]));
beforeEach(async () => {
  local.intercept = undefined;
  agent = new Agent(`${mcp.url}/mcp`);
  await Agent.mustAuthorize(agent.connect());
  await agent.authorize();
  id = agent.client.client_id;
  local.calls.length = 0;
});

/** The calls since the last time: reads, writes and queries. */
function calls() {
  const count = (name) => local.calls.filter((call) => call.startsWith(name)).length;
  const counted = { reads: count('GetItem'), writes: count('UpdateItem') + count('DeleteItem'), queries: count('Query') };
  local.calls.length = 0;
  return counted;
}
const token = async (form) => {
  const answer = await fetch(`${as.url}/token`, { method: 'POST', body: new URLSearchParams({ client_id: id, ...form }) });
  return { status: answer.status, body: await answer.json() };
};
const refresh = () => token({ grant_type: 'refresh_token', refresh_token: agent.current.refresh_token });
/** A code that is not exchanged yet. */
async function code() {
  agent.current = undefined;
  await Agent.mustAuthorize(agent.connect());
  const answer = await agent.browser.authorize(agent.pending);
  local.calls.length = 0;
  return { grant_type: 'authorization_code', code: answer.code, code_verifier: agent.verifier, redirect_uri: agent.redirectUrl };
}

it('calls of an introspection', async () => {
  assert.equal((await introspect(as.url, agent.current.access_token)).body.active, true);
  assert.deepEqual(calls(), { reads: 4, writes: 0, queries: 0 });
});
it('calls of a refresh with rotation', async () => {
  assert.equal((await refresh()).status, 200);
  assert.deepEqual(calls(), { reads: 7, writes: 3, queries: 0 });
});
it('calls of a code exchange with a refresh token', async () => {
  const form = await code();
  assert.equal((await token(form)).status, 200);
  assert.deepEqual(calls(), { reads: 7, writes: 3, queries: 0 });
});
it('calls of a registration', async () => {
  await fetch(`${as.url}/reg`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(agent.clientMetadata) });
  assert.deepEqual(calls(), { reads: 0, writes: 2, queries: 0 });
});

it('a code that is used again revokes everything that was issued for it', async () => {
  const form = await code();
  const { body: tokens } = await token(form);
  assert.equal((await introspect(as.url, tokens.access_token)).body.active, true);
  assert.deepEqual([(await token(form)).body.error, (await token(form)).status], ['invalid_grant', 400]);
  assert.deepEqual((await introspect(as.url, tokens.access_token)).body, { active: false });
  assert.equal((await token({ grant_type: 'refresh_token', refresh_token: tokens.refresh_token })).body.error, 'invalid_grant');
});
it('of two exchanges of one code at the same time, at most one gets tokens', async () => {
  const form = await code();
  const statuses = (await Promise.all([token(form), token(form)])).map(({ status }) => status).sort();
  // The second one revokes what the first one got, and can do that before the first one is answered.
  assert.ok(['200,400', '400,400'].includes(String(statuses)), statuses);
});
it('the revocation of an access token ends its refresh token too, also if the index does not show it', async () => {
  local.intercept = async (call, run) => (call.startsWith('Query') ? { output: { Items: [] }, response: {} } : run());
  const answer = await fetch(`${as.url}/token/revocation`, { method: 'POST', body: new URLSearchParams({ client_id: id, token: agent.current.access_token }) });
  assert.equal(answer.status, 200);
  assert.equal((await local.grants(id)).filter(({ id: key }) => key.S.startsWith('RefreshToken')).length, 1);
  assert.deepEqual([(await refresh()).status, (await refresh()).body.error], [400, 'invalid_grant']);
});

/** Changes the client after the first write to the grants table that has this model. */
const afterStoring = (model, change) => {
  local.intercept = async (call, run, input) => {
    const result = await run();
    if (call === 'UpdateItem grants' && input.Key.id.S.startsWith(model)) { local.intercept = undefined; await change(); }
    return result;
  };
};
for (const model of ['AccessToken', 'RefreshToken']) {
  it(`a client that is deleted while its ${model} is issued: 401 invalid_client, and the token is gone`, async () => {
    const stored = (await local.grants(id)).length;
    afterStoring(model, () => local.putClient(id, deleted()));
    const { status, body } = await refresh();
    assert.deepEqual([status, body.error], [401, 'invalid_client']);
    assert.equal((await local.grants(id)).filter(({ id: key }) => key.S.startsWith(model)).length, 1, `of ${stored}`);
  });
}
it('a client that is deleted and restored while a token is issued: 400 invalid_grant', async () => {
  const { client } = await local.client(id);
  afterStoring('AccessToken', () => local.putClient(id, restored(now(), now(), { client })));
  const { status, body } = await refresh();
  assert.deepEqual([status, body.error], [400, 'invalid_grant']);
});
it('a client that is deleted while its code is issued: no redirect, no code', async () => {
  agent.current = undefined;
  await Agent.mustAuthorize(agent.connect());
  afterStoring('AuthorizationCode', () => local.putClient(id, deleted()));
  await assert.rejects(agent.browser.authorize(agent.pending), /ends with 401/);
  assert.equal((await local.grants(id)).filter(({ id: key }) => key.S.startsWith('AuthorizationCode') ).length, 1, 'the one that was exchanged before');
});
it('a client of the setting `clients` works without an item, and not with a tombstone or a block', async () => {
  const { client_id, client_secret } = SERVICE;
  const form = { grant_type: 'client_credentials', client_id, client_secret, resource: `${mcp.url}/mcp`, scope: 'tools' };
  const { status, body } = await token(form);
  assert.equal(status, 200);
  assert.equal((await introspect(as.url, body.access_token)).body.active, true);
  for (const attributes of [deleted(), blocked()]) {
    await local.putClient(client_id, attributes);
    assert.deepEqual((await introspect(as.url, body.access_token)).body, { active: false });
    assert.deepEqual([(await token(form)).status, (await token(form)).body.error], [401, 'invalid_client']);
  }
});
it('the issue of a JWT access token is a use of its client, and is refused after a deletion', async () => {
  const adapter = createAdapter({ dynamodb: local.dynamodb });
  const server = await serve({
    adapter,
    extraTokenClaims: adapter.checkIssue,
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      registration: { enabled: true },
      resourceIndicators: { enabled: true, getResourceServerInfo: () => ({ scope: 'tools', accessTokenFormat: 'jwt' }) },
    },
    scopes: ['tools'],
  });
  const metadata = { redirect_uris: [], response_types: [], grant_types: ['client_credentials'], token_endpoint_auth_method: 'client_secret_post' };
  const registered = await (await fetch(`${server.url}/reg`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(metadata) })).json();
  const { client_id, client_secret } = registered;
  const form = { grant_type: 'client_credentials', client_id, client_secret, resource: 'https://resource.example', scope: 'tools' };
  const ask = async () => {
    const answer = await fetch(`${server.url}/token`, { method: 'POST', body: new URLSearchParams(form) });
    return { status: answer.status, body: await answer.json() };
  };
  try {
    const { body } = await ask();
    assert.equal(body.access_token?.split('.').length, 3, JSON.stringify(body));
    assert.match((await local.client(client_id)).idle.S, /^used#/);
    let reads = 0;
    local.intercept = async (call, run) => {
      if (call === 'GetItem clients') reads += 1;
      if (reads === 2) await local.putClient(client_id, deleted());
      return run();
    };
    const refused = await ask();
    assert.deepEqual([refused.status, refused.body.error, reads], [401, 'invalid_client', 2]);
  } finally {
    await server.stop();
  }
});
it('a client that asks about a token of another client is used', async () => {
  const post = (path, body) => fetch(as.url + path, { method: 'POST', body: new URLSearchParams(body) });
  const registered = await (await fetch(`${as.url}/reg`, {
    method: 'POST', headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ redirect_uris: [], response_types: [], grant_types: [], token_endpoint_auth_method: 'client_secret_post' }),
  })).json();
  const idle = async () => (await local.client(registered.client_id)).idle.S.split('#')[0];
  const ask = (secret) => post('/token/introspection', { token: agent.current.access_token, client_id: registered.client_id, client_secret: secret });
  await ask('wrong');
  assert.equal(await idle(), 'unused');
  assert.equal((await (await ask(registered.client_secret)).json()).active, true);
  assert.equal(await idle(), 'used');
});
it('if the database fails, a token endpoint answers 500, and introspection too', async () => {
  local.intercept = async () => { throw new Error('down'); };
  assert.equal((await refresh()).status, 500);
  assert.equal((await introspect(as.url, agent.current.access_token)).status, 500);
});
