// What the tests share: a local run for each file, items of clients, a record of the calls, and a request of oidc-provider.
import { createServer } from 'node:http';
import { createHash, randomBytes } from 'node:crypto';
import { after } from 'node:test';
import { CreateTableCommand, GetItemCommand, PutItemCommand, ScanCommand } from '@aws-sdk/client-dynamodb';
import { Provider } from 'oidc-provider';
import { createAdapter, grantsTable } from '../index.js';
import { connect, startLocal } from './local.js';

export const now = () => Math.floor(Date.now() / 1000);
export const newId = () => randomBytes(16).toString('base64url');
export const digest = (id) => createHash('sha256').update(id).digest('hex');
const N = (number) => ({ N: String(number) });

/** A local run for the tests of this file. The client of the database records its calls, and `intercept` can change them. */
export async function useLocal(options = []) {
  const local = { calls: [], ...await startLocal(options, { AWS_LAMBDA_LOG_LEVEL: 'ERROR' }) };
  local.raw = connect(local.database);
  // Without `--grants-index`, no cascade removes what a test looks for.
  await local.raw.send(new CreateTableCommand(grantsTable('grants')));
  local.adapter = (model, settings) => createAdapter({ dynamodb: local.dynamodb, ...settings })(model);
  local.dynamodb.middlewareStack.add((next, { commandName }) => async (input) => {
    const call = `${commandName.replace('Command', '')} ${input.input.TableName}`;
    local.calls.push(call);
    const run = () => next(input);
    return local.intercept ? local.intercept(call, run, input.input) : run();
  }, { step: 'initialize' });
  after(async () => { local.raw.destroy(); await local.stop(); });

  local.client = async (id) => (await local.raw.send(new GetItemCommand({ TableName: 'clients', Key: { pk: { S: `client#${id}` } }, ConsistentRead: true }))).Item;
  local.putClient = (id, attributes) => local.raw.send(new PutItemCommand({ TableName: 'clients', Item: { pk: { S: `client#${id}` }, ...attributes } }));
  local.grants = async (id) => (await local.raw.send(new ScanCommand({ TableName: 'grants' }))).Items.filter(({ client_id: client }) => client?.S === id);
  return local;
}

export const live = (members = {}, attributes = {}) => ({ client: { M: { kind: { S: 'oauth' }, dynamic: { BOOL: true }, version: N(1), ...members } }, ...attributes });
export const deleted = () => ({ tombstone: { M: {} }, deleted: { M: { at: N(now()), by: { S: 'jane' }, via: { S: 'registration' }, request_id: { S: '1' } } } });
/** A blocked id that was never stored. */
export const blocked = () => {
  const block = { at: N(now()), by: { S: 'operator#jane' }, request_id: { S: '1' } };
  return { deleted: { M: { ...block, via: { S: 'deregisterctl' }, blocked: { M: block } } } };
};
/** A client whose grants an operator revoked, as `client revoke` writes it. */
export const revoked = (at, client = live()) => ({ ...client, history: { L: [{ M: { at: N(at), revoked: { BOOL: true }, restored: { M: { at: N(at), by: { S: 'operator#jane' } } } } }] } });
export const restored = (at, restoredAt, client = live()) => ({ ...client, history: { L: [{ M: { at: N(at), restored: { M: { at: N(restoredAt), by: { S: 'jane' } } } } }] } });
export const used = (id, since) => ({ idle: { S: `used#${digest(id)[0]}` }, idle_since: N(since) });

/** A Provider that listens. `inside` runs a function within a request for the client "tester". */
export async function serve(settings) {
  const http = createServer();
  await new Promise((resolve) => { http.listen(0, '127.0.0.1', resolve); });
  const url = `http://127.0.0.1:${http.address().port}`;
  const provider = new Provider(url, {
    clients: [{ client_id: 'tester', token_endpoint_auth_method: 'none', redirect_uris: [], response_types: [], grant_types: ['inside'] }, ...(settings.clients ?? [])],
    cookies: { keys: ['a key of the tests'] },
    ...settings,
  });
  let task;
  let failure;
  provider.registerGrantType('inside', async (ctx) => { ctx.body = { result: await task(ctx) }; });
  provider.on('grant.error', (_ctx, error) => { failure = error; });
  provider.on('server_error', (_ctx, error) => { failure = error; });
  http.on('request', provider.callback());
  const inside = async (run) => {
    [task, failure] = [run, undefined];
    const answer = await fetch(`${url}/token`, { method: 'POST', body: new URLSearchParams({ grant_type: 'inside', client_id: 'tester' }) });
    if (failure) throw failure;
    return (await answer.json()).result;
  };
  return { url, provider, inside, stop: () => new Promise((resolve) => { http.close(resolve); http.closeAllConnections(); }) };
}
