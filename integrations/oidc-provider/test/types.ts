// The types fit those of oidc-provider and of the SDK.
import { CreateTableCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { createAdapter, grantsTable, importClient } from 'deregister-oidc-provider';
import { Provider, type Configuration } from 'oidc-provider';

const configuration: Configuration = { adapter: createAdapter({ dynamodb: new DynamoDBClient(), clock: Date.now }) };
export const provider: Provider = new Provider('https://server.example', configuration);
export const imported: Promise<void> = importClient({ dynamodb: new DynamoDBClient() }, { client_id: 'a' }, { dynamic: false });
export const command: CreateTableCommand = new CreateTableCommand(grantsTable('grants'));
