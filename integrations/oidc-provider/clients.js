// @ts-check
/**
 * The clients table of deregister, as an authorization server uses it: registration, update, registration access tokens,
 * the client status, and the noting of uses. It does not import oidc-provider, but stores clients in the form of its payloads.
 */
import { createHash } from 'node:crypto';
import { GetItemCommand, UpdateItemCommand } from '@aws-sdk/client-dynamodb';

/** At most one use of a client is noted in this time, in seconds. */
const USE_GRANULARITY = 3600;
/** The first second of the year 10000. Later times cannot be read. */
const YEAR_10000 = 253402300800;
/** The longest client id that fits into the key, in bytes. */
const MAX_CLIENT_ID_BYTES = 2040;
/** What a registration response adds to the metadata of a client (RFC 7591, section 3.2.1). */
const BESIDE_METADATA = ['client_secret', 'client_secret_expires_at', 'client_id_issued_at'];

/** @typedef {Record<string, any>} Members Members of an item in DynamoDB's JSON, or of a value in plain JSON. */
/**
 * @typedef {object} Status What one read tells about a client.
 * @property {boolean} live
 * @property {boolean} [unknown] Whether there is no item: neither a client nor a tombstone.
 * @property {boolean} dynamic Whether it registered itself.
 * @property {number} revokedUntil What was issued up to this second is revoked. -1: nothing is.
 * @property {number} usedAt The last noted use. -1: none.
 * @property {Members} client The members of a live OAuth client. Empty for any other.
 */
/** @type {Status} */
const NOT_LIVE = { live: false, dynamic: false, revokedUntil: -1, usedAt: -1, client: {} };
const UNKNOWN = { ...NOT_LIVE, unknown: true };

/** @param {string} text */
export const sha256 = (text) => createHash('sha256').update(text).digest();

/** Whether to accept a grant that was issued in this second: the client is live, and the grant is not revoked.
 * @param {Status} status @param {number} issuedAt */
export const accepts = (status, issuedAt) =>
  status.live && (status.revokedUntil < 0 || issuedAt > status.revokedUntil);

export class Clients {
  /** @param {import('@aws-sdk/client-dynamodb').DynamoDBClient} dynamodb @param {string} table @param {() => number} now
   * @param {string} [serviceId] The service of the clients that register. */
  constructor(dynamodb, table, now, serviceId) {
    this.dynamodb = dynamodb;
    this.table = table;
    this.now = now;
    this.serviceId = serviceId;
  }

  /** Reads the status of a client, strongly consistent. Throws if the database fails or a deciding member is unreadable.
   * @param {string} id @returns {Promise<Status>} */
  async status(id) {
    if (Buffer.byteLength(id) > MAX_CLIENT_ID_BYTES) return UNKNOWN;
    const { Item: item } = await this.dynamodb.send(new GetItemCommand({
      TableName: this.table,
      Key: key(id),
      ConsistentRead: true,
      ProjectionExpression: '#client, deleted, history, idle, idle_since',
      ExpressionAttributeNames: { '#client': 'client' },
    }));
    return item ? read(item) : UNKNOWN;
  }

  /** Notes a use, if the client registered itself and none was noted in the last hour.
   * @param {string} id @param {Status} status @returns {Promise<Status>} the latest status that is known */
  async noteUse(id, status) {
    const now = this.now();
    if (!status.dynamic || status.usedAt > now - USE_GRANULARITY) return status;
    try {
      await this.#update(id, 'SET idle = :used, idle_since = :now', 'attribute_exists(#client)'
        + ' AND (attribute_not_exists(idle) OR attribute_not_exists(idle_since) OR idle <> :used'
        + ' OR idle_since <= :an_hour_ago OR idle_since >= :end)', { '#client': 'client' }, {
        ':used': `used#${digit(id)}`, ':now': now, ':an_hour_ago': now - USE_GRANULARITY, ':end': YEAR_10000,
      });
      return { ...status, usedAt: now };
    } catch (error) {
      // Another process noted a use, or the client was deleted, or the item has no room for the note.
      if (isFailedCondition(error) || /** @type {Error} */ (error).name === 'ValidationException') return this.status(id);
      throw error;
    }
  }

  /** Registers a client. Returns false if the id is taken by a live or a deleted client.
   * @param {string} id @param {Members} payload @param {boolean} dynamic Whether the client registered itself. Only then is its use tracked. */
  async register(id, payload, dynamic) {
    const client = { kind: 'oauth', service_id: this.serviceId, dynamic, version: 1, ...split(payload) };
    const tracked = { ':idle': `unused#${digit(id)}`, ':now': this.now() };
    return this.#write(id, `SET #client = :client${dynamic ? ', idle = :idle, idle_since = :now' : ''}`,
      'attribute_not_exists(pk)', { '#client': 'client' }, { ':client': client, ...(dynamic ? tracked : {}) });
  }

  /** Replaces the metadata and the secret of a live client. Other members stay. Returns false if there is none.
   * @param {string} id @param {Members} payload @param {string} [presented] The registration access token that it must have. */
  async update(id, payload, presented) {
    return this.#change(id, split(payload), ...asserting(presented));
  }

  /** Stores the digest of a registration access token. The client has at most one. Returns false if it is not live, or no
   * longer has the token that was presented.
   * @param {string} id @param {string} token @param {Members} payload @param {string} [presented] */
  async setRegistrationToken(id, token, { jti, clientId, ...payload }, presented) {
    return this.#change(id, { registration_token_digest: sha256(token), registration_token: payload }, ...asserting(presented));
  }

  /** Removes the registration access token, if it is still this one. @param {string} id @param {string} token */
  async removeRegistrationToken(id, token) {
    return this.#change(id, { registration_token_digest: undefined, registration_token: undefined }, ...asserting(token));
  }

  /** Sets members of a live client, removes those that are undefined, and increments its version: a deletion that is
   * under way then decides again. @param {string} id @param {Members} members */
  async #change(id, members, condition = '', values = {}) {
    const names = Object.keys(members);
    const set = names.filter((name) => members[name] !== undefined);
    const removed = names.filter((name) => members[name] === undefined).map((name) => `#client.#${name}`).join(', ');
    const update = `SET #client.#version = if_not_exists(#client.#version, :zero) + :one${set.map((name) => `, #client.#${name} = :${name}`).join('')}`;
    return this.#write(id, update + (removed && ` REMOVE ${removed}`), `#client.#kind = :oauth ${condition}`,
      Object.fromEntries(['client', 'kind', 'version', ...names].map((name) => [`#${name}`, name])),
      { ':zero': 0, ':one': 1, ':oauth': 'oauth', ...values, ...Object.fromEntries(set.map((name) => [`:${name}`, members[name]])) });
  }

  /** Runs a write. Returns whether its condition was true.
   * @param {string} id @param {string} update @param {string} condition @param {Record<string, string>} names @param {Members} values */
  async #write(id, update, condition, names, values) {
    try {
      await this.#update(id, update, condition, names, values);
      return true;
    } catch (error) {
      if (isFailedCondition(error)) return false;
      throw error;
    }
  }

  /** @param {string} id @param {string} update @param {string} condition @param {Record<string, string>} names @param {Members} values */
  async #update(id, update, condition, names, values) {
    await this.dynamodb.send(new UpdateItemCommand({
      TableName: this.table, Key: key(id), UpdateExpression: update, ConditionExpression: condition,
      ExpressionAttributeNames: names, ExpressionAttributeValues: toAttribute(values).M,
    }));
  }
}

/** The condition that a client has this registration access token. @param {string | undefined} token @returns {[string?, Members?]} */
const asserting = (token) => (token ? ['AND #client.registration_token_digest = :presented', { ':presented': sha256(token) }] : []);

/** @param {unknown} error */
export const isFailedCondition = (error) => /** @type {Error} */ (error).name === 'ConditionalCheckFailedException';

/** The payload that oidc-provider stored. @param {string} id @param {Members} client @returns {Members} */
export function payloadOf(id, { metadata, ...client }) {
  const beside = BESIDE_METADATA.filter((name) => name in client).map((name) => [name, client[name]]);
  return { ...metadata, ...Object.fromEntries(beside), client_id: id };
}

/** The members of `client` that a payload becomes. @param {Members} payload @returns {Members} */
function split({ client_id, ...payload }) {
  const metadata = Object.fromEntries(Object.entries(payload).filter(([name]) => !BESIDE_METADATA.includes(name)));
  return { metadata, ...Object.fromEntries(BESIDE_METADATA.map((name) => [name, payload[name]])) };
}

/** @param {string} id */
const key = (id) => ({ pk: { S: `client#${id}` } });
/** @param {string} id */
const digit = (id) => sha256(id).toString('hex')[0];

/** Reads an item. If a member that the check needs cannot be read, throws: that is never "live". @param {Members} item @returns {Status} */
function read(item) {
  if (!item.client) {
    check(item.deleted?.M, 'deleted');
    return NOT_LIVE;
  }
  const client = check(item.client.M, 'client');
  check(['oauth', 'api'].includes(client.kind?.S), 'client.kind');
  check(!client.dynamic || typeof client.dynamic.BOOL === 'boolean', 'client.dynamic');
  const isOAuth = client.kind.S === 'oauth';
  return {
    live: true,
    dynamic: isOAuth && client.dynamic?.BOOL === true,
    revokedUntil: Math.max(-1, ...check(item.history ? item.history.L : [], 'history').map(revokedBy)),
    usedAt: item.idle?.S?.startsWith('used#') ? seconds(item.idle_since, /^\d+(\.\d+)?$/) : -1,
    client: isOAuth ? fromAttribute(item.client) : {},
  };
}

/** The second of a past deletion, or of its restoration, whichever is later. @param {Members} past */
function revokedBy({ M: past }) {
  const restored = seconds(past?.restored?.M?.at);
  check(restored >= 0, 'history.restored.at');
  return Math.max(restored, seconds(past.at));
}

/** @template T @param {T} value @param {string} member @returns {NonNullable<T>} */
function check(value, member) {
  if (!value) throw new Error(`the item of a client is unreadable: ${member}`);
  return value;
}

/** A time in whole seconds, rounded down. -1 if it cannot be read. @param {Members | undefined} attribute */
function seconds(attribute, form = /^\d+$/) {
  const number = form.test(attribute?.N) ? Math.floor(Number(attribute?.N)) : YEAR_10000;
  return number < YEAR_10000 ? number : -1;
}

/** A value of JSON, or bytes, as DynamoDB has it. @param {any} value @returns {any} */
export function toAttribute(value) {
  if (value === null) return { NULL: true };
  if (value instanceof Uint8Array) return { B: value };
  if (Array.isArray(value)) return { L: value.map((one) => toAttribute(one ?? null)) };
  switch (typeof value) {
    case 'string': return { S: value };
    case 'boolean': return { BOOL: value };
    case 'number': return { N: String(value) };
    default: return { M: Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)
      .map(([name, one]) => [name, toAttribute(one)])) };
  }
}

/** @param {Members} attribute @returns {any} */
export function fromAttribute(attribute) {
  const [[type, value]] = Object.entries(attribute);
  switch (type) {
    case 'NULL': return null;
    case 'N': return Number(value);
    case 'L': return value.map(fromAttribute);
    case 'M': return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, fromAttribute(one)]));
    default: return value;
  }
}
