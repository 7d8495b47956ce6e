// The proof: an MCP client of the MCP SDK, an authorization server with this adapter, and deregister, end to end.
//
// --without-check     the adapter does not read the client status
// --without-history   the client status does not have the past deletions
// --teeth             succeed only if exactly the steps fail that the switch must make fail
//
// With a `--without-…` switch, the cascade does not run. Then only the client status can refuse a grant.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { CreateTableCommand, GetItemCommand, PutItemCommand, QueryCommand, UpdateItemCommand } from '@aws-sdk/client-dynamodb';
import { createAdapter, grantsTable } from '../index.js';
import { DEREGISTERCTL, connect, connection, startLocal } from '../test/local.js';
import { Agent } from './agent.js';
import { authorizationServer, introspect, listen, mcpServer } from './servers.js';

const options = process.argv.slice(2);
const without = ['check', 'history'].find((part) => options.includes(`--without-${part}`));
const [YEAR_SECONDS, SWEEP_TIMEOUT_MS] = [31_536_000, 75_000];
const numbers = { step: 0, control: 0 };
const failed = [];
const mustFail = [];

/** Runs a step. `fails`: the switches that must make it fail. */
async function step(title, run, { fails = [], skipped = false, kind = 'step' } = {}) {
  numbers[kind] += 1;
  const name = `${kind === 'control' ? 'control ' : ''}${numbers[kind]}`;
  if (skipped) return console.log(`skip ${name}  ${title}`);
  if (fails.includes(without)) mustFail.push(name);
  try {
    const seen = await run();
    console.log(`ok   ${name}  ${title}${seen ? `: ${seen}` : ''}`);
  } catch (error) {
    failed.push(name);
    console.log(`FAIL ${name}  ${title}: ${error.message.replace(/\s+/g, ' ')}`);
  }
}

/** Waits until the condition is true. */
async function until(condition, limit) {
  const end = Date.now() + limit;
  while (!await condition()) {
    if (Date.now() > end) throw new Error(`not within ${limit} ms`);
    await new Promise((resolve) => { setTimeout(resolve, 100); });
  }
}

const bearer = (token) => ({ authorization: `Bearer ${token}` });
const register = async (issuer, body) => (await fetch(`${issuer}/reg`, {
  method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body),
})).json();
const refresh = (issuer, client, tokens) => fetch(`${issuer}/token`, {
  method: 'POST', body: new URLSearchParams({ grant_type: 'refresh_token', client_id: client.client_id, refresh_token: tokens.refresh_token }),
});

/** Registers a client that acts for itself (client credentials), gets a token for it, and deletes it. What introspection
 * says before and after. */
async function introspectBeforeAndAfterDeletion(issuer, resource) {
  const client = await register(issuer, { redirect_uris: [], response_types: [], grant_types: ['client_credentials'], token_endpoint_auth_method: 'client_secret_post' });
  const answer = await fetch(`${issuer}/token`, {
    method: 'POST', body: new URLSearchParams({ grant_type: 'client_credentials', client_id: client.client_id, client_secret: client.client_secret, resource, scope: 'tools' }),
  });
  const { access_token: token } = await answer.json();
  const before = await introspect(issuer, token);
  assert.equal((await fetch(client.registration_client_uri, { method: 'DELETE', headers: bearer(client.registration_access_token) })).status, 204);
  return [before, await introspect(issuer, token)].map(({ status, body }) => `${status} active ${body.active}`);
}

const [as, mcp] = [await listen(), await listen()];
const local = await startLocal([
  ...(without ? [] : ['--grants-index']), '--registration-server', `${as.url}/reg`, '--sweep', 'delete',
]);
const { dynamodb, front } = local;
const started = Date.now();
if (without) await dynamodb.send(new CreateTableCommand(grantsTable('grants')));

// The adapter has its own DynamoDB client. So a switch changes only what the adapter reads.
const adapterDynamodb = connect(local.database);
if (without === 'history') {
  adapterDynamodb.middlewareStack.add((next) => async (input) => {
    const result = await next(input);
    delete result.output.Item?.history;
    return result;
  }, { step: 'initialize' });
}
const provider = authorizationServer(as.url, createAdapter({ dynamodb: adapterDynamodb, revocationCheck: without !== 'check' }), front);
as.use(provider.callback());
mcp.use(await mcpServer(mcp.url, as.url));

const item = async (id) => (await dynamodb.send(new GetItemCommand({ TableName: 'clients', Key: { pk: { S: `client#${id}` } }, ConsistentRead: true }))).Item;
const grantsOf = async (id) => (await dynamodb.send(new QueryCommand({
  TableName: 'grants', IndexName: 'client', KeyConditionExpression: 'client_id = :id', ExpressionAttributeValues: { ':id': { S: id } },
}))).Items;
const idleSince = (id, since) => dynamodb.send(new UpdateItemCommand({
  TableName: 'clients', Key: { pk: { S: `client#${id}` } }, UpdateExpression: 'SET idle_since = :since', ExpressionAttributeValues: { ':since': { N: String(since) } },
}));
const now = () => Math.floor(Date.now() / 1000);

const agent = new Agent(`${mcp.url}/mcp`);
let registered;
let tokens;
let saved;

await step('the client finds the authorization server', async () => {
  assert.equal(await Agent.mustAuthorize(agent.connect()), true);
  assert.ok(agent.log.includes('GET /.well-known/oauth-protected-resource/mcp 200'));
  assert.ok(agent.log.includes('GET /.well-known/oauth-authorization-server 200'));
});
await step('the client registers itself', async () => {
  registered = agent.registration;
  assert.ok(agent.log.includes('POST /reg 201'));
  assert.equal((await item(registered.client_id)).client.M.dynamic.BOOL, true);
  assert.equal(registered.registration_client_uri, `${front}/reg/${registered.client_id}`);
  return registered.registration_client_uri;
});
await step('authorization code with PKCE: the person logs in and consents', async () => {
  assert.equal(agent.pending.searchParams.get('code_challenge_method'), 'S256');
  assert.deepEqual(await agent.authorize(), ['login', 'consent']);
  tokens = agent.current;
  assert.ok(tokens.refresh_token);
  await agent.connect();
});
await step('a tool call answers', async () => assert.equal(await agent.call(), registered.client_id));
await step('introspection says active', async () => {
  const { status, body } = await introspect(as.url, tokens.access_token);
  assert.deepEqual([status, body.active, body.client_id], [200, true, registered.client_id]);
});
await step('GET of the registration_client_uri: the authorization server answers', async () => {
  const answer = await fetch(registered.registration_client_uri, { headers: bearer(registered.registration_access_token) });
  const body = await answer.json();
  assert.deepEqual([answer.status, body.client_name], [200, 'An agent']);
  assert.equal(body.registration_client_uri, registered.registration_client_uri);
});
await step('PUT of the same URL: the authorization server answers, and rotates the registration access token', async () => {
  const answer = await fetch(registered.registration_client_uri, {
    method: 'PUT',
    headers: { ...bearer(registered.registration_access_token), 'content-type': 'application/json' },
    body: JSON.stringify({ ...agent.clientMetadata, client_id: registered.client_id, client_name: 'A renamed agent' }),
  });
  const body = await answer.json();
  assert.deepEqual([answer.status, body.client_name], [200, 'A renamed agent']);
  assert.ok(body.registration_access_token !== registered.registration_access_token, 'the token is the same');
  const old = registered.registration_access_token;
  registered = { ...registered, ...body };
  assert.equal((await fetch(registered.registration_client_uri, { method: 'DELETE', headers: bearer(old) })).status, 401);
});
await step('DELETE at the authorization server itself: 405', async () => {
  const url = registered.registration_client_uri.replace(front, as.url);
  assert.equal((await fetch(url, { method: 'DELETE', headers: bearer(registered.registration_access_token) })).status, 405);
});
await step('DELETE of the same URL: deregister answers 204', async () => {
  saved = await Promise.all((await grantsOf(registered.client_id)).map(async ({ id }) => (
    await dynamodb.send(new GetItemCommand({ TableName: 'grants', Key: { id } }))).Item));
  const answer = await fetch(registered.registration_client_uri, { method: 'DELETE', headers: bearer(registered.registration_access_token) });
  assert.equal(answer.status, 204);
});

await step('the next tool call is refused', async () => {
  agent.log.length = 0;
  await agent.call().then(() => assert.fail('the tool call answers'), () => undefined);
  assert.equal(agent.log[0], 'POST /mcp 401');
  return agent.log[0];
}, { fails: ['check'] });
await step('introspection says inactive', async () => {
  assert.deepEqual(await introspect(as.url, tokens.access_token), { status: 200, body: { active: false } });
}, { fails: ['check'] });
await step('introspection of a token that a client got for itself, before and after its deletion', async () => {
  assert.deepEqual(await introspectBeforeAndAfterDeletion(as.url, `${mcp.url}/mcp`), ['200 active true', '200 active false']);
}, { fails: ['check'] });
await step('the refresh is 401 invalid_client', async () => {
  const answer = await refresh(as.url, registered, tokens);
  assert.deepEqual([answer.status, (await answer.json()).error], [401, 'invalid_client']);
});
await step('the SDK gives up the old registration and registers anew, within that tool call', async () => {
  assert.ok(agent.log.includes('POST /token 401'));
  assert.ok(agent.log.includes('POST /reg 201'));
  assert.notEqual(agent.client.client_id, registered.client_id);
  return `${registered.client_id} -> ${agent.client.client_id}`;
}, { fails: ['check'] });
await step('the person consents again, and a tool call answers under the new id', async () => {
  if (agent.client.client_id === registered.client_id) throw new Error('the client did not register anew');
  assert.deepEqual(await agent.authorize(), ['consent']);
  await agent.connect();
  assert.equal(await agent.call(), agent.client.client_id);
}, { fails: ['check'] });
await step('the cascade has removed the grants of the old client', async () => {
  assert.ok(saved.length >= 3, 'a consent and two tokens');
  const since = Date.now();
  await until(async () => (await grantsOf(registered.client_id)).length === 0, 30_000);
  return `${saved.length} grants, ${Date.now() - since} ms after the steps above`;
}, { skipped: Boolean(without) });
await step('an operator restores the old client: it is live', async () => {
  await promisify(execFile)(DEREGISTERCTL, ['client', 'restore', '--by', 'jane', '--', registered.client_id], {
    env: { ...process.env, ...connection(local.database) },
  });
  assert.ok((await item(registered.client_id)).client);
  const answer = await fetch(registered.registration_client_uri, { headers: bearer(registered.registration_access_token) });
  assert.equal(answer.status, 200);
});
await step('the old tokens stay refused, also those that the cascade would have missed', async () => {
  await Promise.all(saved.map((Item) => dynamodb.send(new PutItemCommand({ TableName: 'grants', Item }))));
  assert.deepEqual((await introspect(as.url, tokens.access_token)).body, { active: false });
  const answer = await refresh(as.url, registered, tokens);
  assert.deepEqual([answer.status, (await answer.json()).error], [400, 'invalid_grant']);
}, { fails: ['check', 'history'] });
const again = new Agent(`${mcp.url}/mcp`, agent.browser);
again.client = registered;
await step('a new authorization of the restored client asks the person again, although the session has its old consent', async () => {
  // What is issued in the second of the restoration is refused.
  const restoredAt = Number((await item(registered.client_id)).history.L.at(-1).M.restored.M.at.N);
  await until(() => now() > restoredAt, 2000);
  assert.equal(await Agent.mustAuthorize(again.connect()), true);
  assert.deepEqual(await again.authorize(), ['consent']);
}, { fails: ['check', 'history'] });
await step('a tool call answers under the old id', async () => {
  await again.connect();
  assert.equal(await again.call(), registered.client_id);
});

const skipped = without === 'history';
await step('the sweep deletes an old client that was never used, and spares one that is used', async () => {
  const unused = await register(as.url, agent.clientMetadata);
  await Promise.all([unused.client_id, registered.client_id].map((id) => idleSince(id, now() - YEAR_SECONDS)));
  await again.call();
  await until(() => local.log.some(({ swept }) => swept > 0), SWEEP_TIMEOUT_MS);
  assert.equal((await item(unused.client_id)).deleted.M.via.S, 'sweep');
  assert.ok((await item(registered.client_id)).client, 'the used client is deleted');
  return `${Math.round((Date.now() - started) / 1000)} s after the start`;
}, { fails: ['check'], skipped });

// The control: the same server with its own in-memory store and its own DELETE.
const [ownAs, ownMcp] = [await listen(), await listen()];
ownAs.use(authorizationServer(ownAs.url, undefined, undefined).callback());
ownMcp.use(await mcpServer(ownMcp.url, ownAs.url));
const own = new Agent(`${ownMcp.url}/mcp`);
await step('its own DELETE: 204', async () => {
  assert.equal(await Agent.mustAuthorize(own.connect()), true);
  await own.authorize();
  await own.connect();
  assert.equal(await own.call(), own.client.client_id);
  const answer = await fetch(own.registration.registration_client_uri, { method: 'DELETE', headers: bearer(own.registration.registration_access_token) });
  assert.equal(answer.status, 204);
}, { kind: 'control' });
await step('afterwards, introspection of the access token does not say inactive', async () => {
  const { status, body } = await introspect(ownAs.url, own.current.access_token);
  own.log.length = 0;
  await own.call().catch(() => undefined);
  assert.notEqual(body.active, false);
  return `introspection ${status} ${JSON.stringify(body)}; tool call ${own.log[0]}`;
}, { kind: 'control' });

await step('a token that a client got for itself stays active after its deletion', async () => {
  const seen = await introspectBeforeAndAfterDeletion(ownAs.url, `${ownMcp.url}/mcp`);
  assert.deepEqual(seen, ['200 active true', '200 active true']);
}, { kind: 'control' });

await Promise.allSettled([agent, again, own].map((one) => one.connection?.close()));
adapterDynamodb.destroy();
await Promise.all([as, mcp, ownAs, ownMcp].map((server) => server.stop()));
await local.stop();
if (options.includes('--teeth')) {
  console.log(`without the ${without}, these steps must fail: ${mustFail}; these fail: ${failed}`);
  process.exitCode = mustFail.length && String(mustFail) === String(failed) ? 0 : 1;
} else {
  console.log(`${numbers.step + numbers.control - failed.length} passed, ${failed.length} failed`);
  process.exitCode = failed.length ? 1 : 0;
}
