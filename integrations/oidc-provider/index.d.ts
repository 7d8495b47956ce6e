import type { CreateTableCommandInput, DynamoDBClient } from '@aws-sdk/client-dynamodb';

export interface AdapterOptions {
  /** The client of DynamoDB. Its retries and time-outs apply. */
  dynamodb: DynamoDBClient;
  /** The clients table of deregister. Default: `clients`. */
  clientsTable?: string;
  /** The grants table. Default: `grants`. */
  grantsTable?: string;
  /** The index of the grants table by client. Default: `client`. */
  grantsIndex?: string;
  /** The service of the clients that register, for `deregisterctl client list --service`. Default: none. */
  serviceId?: string;
  /** The time in milliseconds since the epoch. Default: `Date.now`. */
  clock?: () => number;
  /** Read the client status before something is accepted or handed out, and note uses. Default: true. Without it, tokens of
   * a deleted client work until the cascade removes them, and the sweep deletes clients that are in use. */
  revocationCheck?: boolean;
}

/** The storage of one model. It has the methods that oidc-provider calls for this model. */
export interface ModelAdapter {
  upsert(id: string, payload: Record<string, unknown>, expiresIn?: number): Promise<void>;
  find(id: string): Promise<Record<string, any> | undefined>;
  findByUid(uid: string): Promise<Record<string, any> | undefined>;
  findByUserCode(userCode: string): Promise<Record<string, any> | undefined>;
  consume(id: string): Promise<void>;
  destroy(id: string): Promise<void>;
  revokeByGrantId(grantId: string): Promise<void>;
}

/** The setting `adapter` of a Provider. */
export function createAdapter(options: AdapterOptions): ((model: string) => ModelAdapter) & {
  /** The revocation check for tokens that the adapter does not store. Use it as the setting `extraTokenClaims` if access
   * tokens are JWTs. It adds no claims. */
  checkIssue(ctx: unknown, token: { clientId?: string }): Promise<undefined | void>;
};

export interface ImportOptions {
  /** The registration access token, if you have it. Otherwise the client cannot delete itself. */
  registrationAccessToken?: string;
  /** Whether the client registered itself. The sweep deletes only such clients. Default: true. */
  dynamic?: boolean;
}

/** Writes a client of an earlier adapter into the clients table. It counts as used now. Its tokens and sessions do not move.
 * Fails if the id is taken. */
export function importClient(
  options: AdapterOptions,
  payload: { client_id: string } & Record<string, unknown>,
  more?: ImportOptions,
): Promise<void>;

/** The definition of the grants table, for CreateTableCommand. Switch on its time to live, on `expires_at`. */
export function grantsTable(name: string, index?: string): CreateTableCommandInput;
