// @ts-check
/**
 * An adapter for oidc-provider. Clients and registration access tokens are in the clients table of deregister. Everything
 * else is in the grants table, under the digest of its id. Before the adapter accepts or hands out something that was
 * issued to a client, it reads the client status.
 */
import { timingSafeEqual } from 'node:crypto';
import { DeleteItemCommand, GetItemCommand, QueryCommand, UpdateItemCommand } from '@aws-sdk/client-dynamodb';
import { Provider, errors } from 'oidc-provider';
import { Clients, accepts, isFailedCondition, payloadOf, sha256, toAttribute } from './clients.js';

/** @typedef {import('./clients.js').Members} Members */
/** @typedef {import('./clients.js').Status} Status */

const REPLACED = 'the client is deleted, or has another registration access token by now';
/** How many grants are removed at the same time when a consent is revoked. */
const MAX_CONCURRENT_REMOVALS = 25;

/** @type {typeof import('./index.d.ts').grantsTable} */
export const grantsTable = (name, index = 'client') => ({
  TableName: name,
  BillingMode: 'PAY_PER_REQUEST',
  AttributeDefinitions: ['id', 'client_id', 'grant_id'].map((AttributeName) => ({ AttributeName, AttributeType: 'S' })),
  KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }],
  GlobalSecondaryIndexes: [{
    IndexName: index,
    KeySchema: [{ AttributeName: 'client_id', KeyType: 'HASH' }, { AttributeName: 'grant_id', KeyType: 'RANGE' }],
    Projection: { ProjectionType: 'INCLUDE', NonKeyAttributes: ['expires_at'] },
  }],
});

/** @type {typeof import('./index.d.ts').createAdapter} */
export function createAdapter(options) {
  const store = new Store(options);
  const adapters = /** @type {Record<string, any>} */ ({ Client: ClientAdapter, RegistrationAccessToken: RegistrationTokenAdapter });
  return Object.assign((/** @type {string} */ model) => new (adapters[model] ?? GrantAdapter)(store, model), {
    checkIssue: (/** @type {unknown} */ _ctx, /** @type {{ clientId?: string }} */ { clientId }) => store.checkIssue(clientId),
  });
}

/** @type {typeof import('./index.d.ts').importClient} */
export async function importClient(options, payload, { registrationAccessToken, dynamic = true } = {}) {
  const { clients } = new Store(options);
  const id = payload.client_id;
  if (!await clients.register(id, payload, dynamic)) throw new Error('the client id is taken by another client, which may be deleted');
  // The import counts as a use, so that the sweep waits as long as after a use.
  await clients.noteUse(id, await clients.status(id));
  const token = { iat: clients.now(), kind: 'RegistrationAccessToken' };
  if (registrationAccessToken) await clients.setRegistrationToken(id, registrationAccessToken, token);
}

/** What the adapters of all models share: the two tables, and what is known within the request under way. */
class Store {
  /** What is known within a request: the reads so far, the revocations of consents that are under way, and the oldest issue
   * time of what was presented for each client.
   * @typedef {{ statuses: Map<string, Promise<Status>>, consents: Map<string, Promise<Members | undefined>>, revocations: Map<string, Promise<void>>, presented: Map<string, number> }} Known */
  /** @type {WeakMap<object, Known>} */
  #requests = new WeakMap();
  /** @param {import('./index.d.ts').AdapterOptions} options */
  constructor({ dynamodb, clientsTable = 'clients', grantsTable = 'grants', grantsIndex = 'client', serviceId, clock = Date.now, revocationCheck = true }) {
    this.options = { dynamodb, grantsTable, grantsIndex, revocationCheck };
    this.now = () => Math.floor(clock() / 1000);
    this.clients = new Clients(dynamodb, clientsTable, this.now, serviceId);
  }

  /** Without a request under way, nothing is kept. What a request has started can go on after its answer. @returns {Known} */
  get known() {
    const ctx = Provider.ctx?.res.writableEnded ? undefined : Provider.ctx;
    const known = (ctx && this.#requests.get(ctx))
      ?? { statuses: new Map(), consents: new Map(), revocations: new Map(), presented: new Map() };
    if (ctx) this.#requests.set(ctx, known);
    return known;
  }

  /** The status of a client. Read once within a request. @param {string} id */
  status(id) {
    return once(this.known.statuses, id, () => this.clients.status(id));
  }

  /** The item of a consent (model Grant). Read once within a request. @param {string} key */
  consent(key) {
    return once(this.known.consents, key, () => this.get(key));
  }

  /** An item of the grants table. One that has expired counts as absent. @param {string} key @returns {Promise<Members | undefined>} */
  async get(key) {
    const { Item: item } = await this.options.dynamodb.send(new GetItemCommand({ ...this.#item(key), ConsistentRead: true }));
    return item && !(Number(item.expires_at?.N) <= this.now()) ? item : undefined;
  }

  /** Writes attributes of an item. Its other attributes stay, but not an old time of expiry.
   * @param {string} key @param {Members} attributes @param {number | undefined} expiresIn */
  async put(key, attributes, expiresIn) {
    const values = expiresIn === undefined ? attributes : { ...attributes, expires_at: this.now() + expiresIn };
    const set = Object.keys(values).map((name) => `${name} = :${name}`).join(', ');
    await this.#update(key, `SET ${set}${expiresIn === undefined ? ' REMOVE expires_at' : ''}`,
      Object.fromEntries(Object.entries(values).map(([name, value]) => [`:${name}`, value])));
  }

  /** Marks an item as consumed. Of several calls for one item, only one succeeds. @param {string} key */
  async consume(key) {
    await this.#update(key, 'SET consumed_at = :now', { ':now': this.now() },
      { ConditionExpression: 'attribute_exists(id) AND attribute_not_exists(consumed_at)' });
  }

  /** @param {string} key @param {string} [consent] Only if it belongs to this consent. */
  async remove(key, consent) {
    const condition = { ConditionExpression: 'grant_id = :consent', ExpressionAttributeValues: { ':consent': { S: consent ?? '' } } };
    await this.options.dynamodb.send(new DeleteItemCommand({ ...this.#item(key), ...(consent && condition) }));
  }

  /** Revokes everything that was issued with a consent. First increments `revocations` in the item of the consent. From then
   * on, grants with another count are refused, also those that the index does not show yet. If the item is gone, all its
   * grants are refused. @param {string} consent */
  async revoke(consent) {
    this.known.consents.delete(consent);
    const { Attributes: item } = await this.#update(consent, 'ADD revocations :one', { ':one': 1 },
      { ConditionExpression: 'attribute_exists(client_id)', ReturnValues: 'ALL_NEW' }).catch(unlessConditionFailed) ?? {};
    /** @type {Members | undefined} */
    let start;
    while (item) {
      const page = await this.options.dynamodb.send(new QueryCommand({
        TableName: this.options.grantsTable,
        IndexName: this.options.grantsIndex,
        KeyConditionExpression: 'client_id = :client AND grant_id = :consent',
        ExpressionAttributeValues: { ':client': item.client_id, ':consent': { S: consent } },
        Limit: MAX_CONCURRENT_REMOVALS,
        ExclusiveStartKey: start,
      }));
      const keys = (page.Items ?? []).map(({ id }) => String(id.S)).filter((key) => key !== consent);
      await Promise.all(keys.map((key) => this.remove(key, consent).catch(unlessConditionFailed)));
      start = page.LastEvaluatedKey;
      if (!start) return;
    }
  }

  /** Makes the revocation check for an item, and notes the use of the client. Returns the error to answer with. `undefined`:
   * the item is accepted. @param {Members} item @param {number} issuedAt */
  async refusal(item, issuedAt) {
    if (!item.client_id) return undefined;
    const [id, consentKey] = [item.client_id.S, item.grant_id.S];
    const [status, consent] = await Promise.all([
      this.options.revocationCheck ? this.status(id) : undefined,
      consentKey === item.id.S ? item : this.consent(consentKey),
    ]);
    const isRevoked = consent !== item && (!consent || consent.revocations?.N !== item.revocations?.N);
    let latest = status;
    if (status && !isRevoked && accepts(status, issuedAt)) {
      const noted = this.clients.noteUse(id, status);
      this.known.statuses.set(id, noted);
      latest = await noted;
    }
    if (latest?.unknown && !isRevoked && await this.#isStatic(id)) return undefined;
    // The answer of a token endpoint is 401 then. An authorization endpoint does not redirect to a deleted client.
    if (latest && !latest.live) return Object.assign(new errors.InvalidClientAuth('the client is deleted'), { allow_redirect: false });
    return isRevoked || (latest && !accepts(latest, issuedAt)) ? new errors.InvalidGrant('the grant is revoked') : undefined;
  }

  /** The revocation check, with a fresh read, for what is issued and not stored. @param {string | undefined} id */
  async checkIssue(id) {
    if (!id) return;
    this.known.statuses.delete(id);
    const item = { id: { S: '' }, client_id: { S: id }, grant_id: { S: '' } };
    const refusal = await this.refusal(item, Math.min(this.now(), this.known.presented.get(id) ?? Infinity));
    if (refusal) throw refusal;
  }

  /** Notes a use of the client that asks about a grant of another client. Its status was read when it authenticated, unless
   * it is one of the setting `clients`. */
  async noteIntrospection() {
    const { oidc } = Provider.ctx ?? {};
    const id = oidc?.route === 'introspection' ? oidc.client?.clientId : undefined;
    const status = id && await this.known.statuses.get(id);
    if (status && this.options.revocationCheck) await this.clients.noteUse(id, status);
  }

  /** Whether the client is one of the setting `clients`: oidc-provider knows it, and it is not in the table. The id of a
   * metadata document is a URL. @param {string} id */
  async #isStatic(id) {
    return !/^https?:/.test(id) && Boolean(await Provider.ctx?.oidc.provider.Client.find(id));
  }

  /** @param {string} key @param {string} update @param {Members} values @param {Members} [more] */
  #update(key, update, values, more) {
    const input = { ...this.#item(key), UpdateExpression: update, ExpressionAttributeValues: toAttribute(values).M, ...more };
    return this.options.dynamodb.send(new UpdateItemCommand(input));
  }

  /** @param {string} key */
  #item(key) {
    return { TableName: this.options.grantsTable, Key: { id: { S: key } } };
  }
}

/** @param {unknown} error @returns {undefined} */
function unlessConditionFailed(error) {
  if (!isFailedCondition(error)) throw error;
}

/** The value in the map, or else the new one, which is kept. @template T @param {Map<string, T>} map @param {string} key @param {() => T} make @returns {T} */
function once(map, key, make) {
  const value = map.get(key) ?? make();
  map.set(key, value);
  return value;
}

/** The key of an item: the model, or the kind of pointer, and the digest of the id. @param {string} model @param {string} id */
const keyOf = (model, id) => `${model}:${sha256(id).toString('hex')}`;

class ModelAdapter {
  /** @param {Store} store @param {string} model */
  constructor(store, model) {
    this.store = store;
    this.model = model;
  }
}

/** Stores clients in the clients table of deregister. */
class ClientAdapter extends ModelAdapter {
  /** @param {string} id */
  async find(id) {
    const { client } = await this.store.status(id);
    return client.kind && payloadOf(id, client);
  }

  /** Within a request, this is a registration or an update by the client. Elsewhere, the server's own code writes a client.
   * @param {string} id @param {Members} payload */
  async upsert(id, payload) {
    const { clients, known } = this.store;
    const route = Provider.ctx?.oidc.route;
    known.statuses.delete(id);
    try {
      if (route !== 'client_update' && await clients.register(id, payload, route === 'registration')) return;
      if (route === 'registration') throw new Error('the client id is taken by another client, which may be deleted');
      // An update asserts the token that was presented: an operator can have replaced it.
      const presented = Provider.ctx?.oidc.entities.RegistrationAccessToken?.jti;
      if (!await clients.update(id, payload, presented)) throw new errors.InvalidToken(REPLACED);
    } catch (error) {
      // DynamoDB takes no numbers beyond 1e126, no empty names and no deeper nesting.
      const isOdd = ['SerializationException', 'ValidationException'].includes(/** @type {Error} */ (error).name);
      throw isOdd ? new errors.InvalidClientMetadata('the metadata cannot be stored') : error;
    }
  }

  async destroy() {
    throw new Error('send DELETE of the client configuration endpoint to deregister: this server does not delete clients');
  }
}

/** The model RegistrationAccessToken. The client has its digest. The id of the client is in the path of the request. */
class RegistrationTokenAdapter extends ModelAdapter {
  get #clientId() {
    return Provider.ctx?.params?.clientId;
  }

  /** @param {string} token */
  async find(token) {
    const clientId = this.#clientId;
    if (clientId === undefined) return undefined;
    const { registration_token_digest: digest, registration_token: payload } = (await this.store.status(clientId)).client;
    const isValid = digest?.length === 32 && timingSafeEqual(digest, sha256(token));
    return isValid ? { ...payload, jti: token, clientId } : undefined;
  }

  /** @param {string} token @param {Members} payload */
  async upsert(token, payload) {
    const { clients, known } = this.store;
    known.statuses.delete(payload.clientId);
    // A rotation replaces the token that was presented. If another request or an operator has replaced it, this one fails.
    const presented = Provider.ctx?.oidc.entities.RotatedRegistrationAccessToken?.jti;
    if (!await clients.setRegistrationToken(payload.clientId, token, payload, presented)) {
      throw new errors.InvalidToken(REPLACED);
    }
  }

  /** @param {string} token */
  async destroy(token) {
    const clientId = this.#clientId;
    if (clientId === undefined) throw new Error('a registration access token can only be removed in a request for its client');
    // In a rotation, the new token replaces this one in one write. A failure in between leaves the client with a token.
    if (Provider.ctx?.oidc.entities.RotatedRegistrationAccessToken) return;
    this.store.known.statuses.delete(clientId);
    await this.store.clients.removeRegistrationToken(clientId, token);
  }
}

/** Stores all other models in the grants table, and makes the revocation check. */
class GrantAdapter extends ModelAdapter {
  /** The key of an item. A lookup through a pointer gives the key in place of the id, because the table has only digests of
   * ids. @param {string} id */
  #key(id) {
    return id.startsWith(`${this.model}:`) ? id : keyOf(this.model, id);
  }

  /** @param {string} id */
  async find(id) {
    // Only the route `device_resume` passes on a key that `findByUserCode` gave. On other routes the id comes from a request.
    // A person who can read the table must not be able to use a key as an id.
    const isInteraction = this.model === 'DeviceCode' && Provider.ctx?.oidc.route === 'device_resume';
    return this.#read(isInteraction ? this.#key(id) : keyOf(this.model, id), id);
  }

  /** @param {string} uid */
  findByUid(uid) {
    return this.#follow(keyOf('uid', uid));
  }

  /** @param {string} userCode */
  findByUserCode(userCode) {
    return this.#follow(keyOf('user_code', userCode));
  }

  /** Stores an item. If it was issued to a client, checks the client with a fresh read, and removes the item again if the check refuses it. @param {string} id @param {Members} payload @param {number} [expiresIn] */
  async upsert(id, { jti, ...payload }, expiresIn) {
    const { store, store: { known }, model } = this;
    const key = this.#key(id);
    // A pushed authorization request does not name its client. The client that sends it has authenticated.
    const clientId = payload.clientId ?? (model === 'PushedAuthorizationRequest' ? Provider.ctx?.oidc.client?.clientId : undefined);
    const consent = payload.grantId && clientId ? keyOf('Grant', payload.grantId) : key;
    const revocations = consent === key ? undefined : (await store.consent(consent))?.revocations;
    const owner = clientId && { client_id: clientId, grant_id: consent, ...(revocations && { revocations: Number(revocations.N) }) };
    const pointer = (model === 'Session' && payload.uid && keyOf('uid', payload.uid)) || (payload.userCode && keyOf('user_code', payload.userCode));
    await Promise.all([
      store.put(key, { payload: JSON.stringify(payload), ...owner }, expiresIn),
      pointer && store.put(pointer, { target: key }, expiresIn),
    ]);
    known.statuses.delete(clientId);
    known.consents.delete(consent);
    const item = { id: { S: key }, ...toAttribute(owner ?? {}).M };
    const refusal = await store.refusal(item, Math.min(payload.iat, known.presented.get(clientId) ?? Infinity));
    if (!refusal) return;
    await Promise.all([store.remove(key), pointer && store.remove(pointer)]);
    throw refusal;
  }

  /** @param {string} id */
  async consume(id) {
    try {
      await this.store.consume(this.#key(id));
    } catch (error) {
      unlessConditionFailed(error);
      throw new errors.InvalidGrant('it is already consumed, or gone');
    }
  }

  /** @param {string} id */
  async destroy(id) {
    const key = this.#key(id);
    this.store.known.consents.delete(key);
    // Wait for a revocation that is under way: it reads the client id from this item.
    await this.store.known.revocations.get(key);
    await this.store.remove(key);
  }

  /** oidc-provider calls this for several models at the same time. One run removes the grants of all of them.
   * @param {string} grantId */
  revokeByGrantId(grantId) {
    const { store } = this;
    const consent = keyOf('Grant', grantId);
    return once(store.known.revocations, consent, () => store.revoke(consent));
  }

  /** @param {string} pointer */
  async #follow(pointer) {
    const key = (await this.store.get(pointer))?.target.S;
    return key && this.#read(key, key);
  }

  /** @param {string} key @param {string} id */
  async #read(key, id) {
    const { store, store: { known: { presented } } } = this;
    const item = await (this.model === 'Grant' ? store.consent(key) : store.get(key));
    if (!item) return undefined;
    const payload = JSON.parse(item.payload.S);
    if (await store.refusal(item, payload.iat)) return undefined;
    await store.noteIntrospection();
    const clientId = item.client_id?.S;
    presented.set(clientId, Math.min(payload.iat, presented.get(clientId) ?? Infinity));
    return { ...payload, jti: id, ...(item.consumed_at && { consumed: Number(item.consumed_at.N) }) };
  }
}
