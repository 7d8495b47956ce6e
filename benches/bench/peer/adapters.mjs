// Two adapters for oidc-provider with DynamoDB. They have no revocation check and no record of deletions. They have
// only the methods that dynamic registration and client management call. The key of both tables is `id`.
import { DeleteItemCommand, GetItemCommand, UpdateItemCommand } from "@aws-sdk/client-dynamodb";
import { DeleteCommand, DynamoDBDocumentClient, GetCommand, PutCommand } from "@aws-sdk/lib-dynamodb";
import { Provider } from "oidc-provider";

// The plain adapter. It follows oidc-provider's interface: an item for each model and id.
export function plainAdapter(dynamodb, TableName) {
  const documents = DynamoDBDocumentClient.from(dynamodb, { marshallOptions: { removeUndefinedValues: true } });
  const now = () => Math.floor(Date.now() / 1000);
  return (model) => {
    const item = (id) => ({ TableName, Key: { id: `${model}:${id}` } });
    return {
      async find(id) {
        const { Item } = await documents.send(new GetCommand(item(id)));
        return Item && !(Item.expires_at <= now()) ? Item.payload : undefined;
      },
      async upsert(id, payload, expiresIn) {
        const expiry = expiresIn ? { expires_at: now() + expiresIn } : {};
        await documents.send(new PutCommand({ TableName, Item: { id: `${model}:${id}`, payload, ...expiry } }));
      },
      async destroy(id) {
        await documents.send(new DeleteCommand(item(id)));
      },
    };
  };
}

// The tuned adapter. It makes the fewest calls: the item of a client contains its registration access token. A request
// reads the item once, and one call deletes the client and its token. The payloads are stored as text.
export function tunedAdapter(dynamodb, TableName) {
  const item = (id) => ({ TableName, Key: { id: { S: id } } });
  const reads = new WeakMap();
  // Reads an item once within a request.
  const read = (id) => {
    const known = reads.get(Provider.ctx) ?? dynamodb.send(new GetItemCommand(item(id)));
    reads.set(Provider.ctx, known);
    return known;
  };
  const write = (id, name, payload) => dynamodb.send(new UpdateItemCommand({
    ...item(id),
    UpdateExpression: "SET #name = :payload",
    ExpressionAttributeNames: { "#name": name },
    ExpressionAttributeValues: { ":payload": { S: JSON.stringify(payload) } },
  }));
  const client = {
    async find(id) {
      const { Item } = await read(id);
      return Item && JSON.parse(Item.client.S);
    },
    upsert: (id, payload) => write(id, "client", payload),
    destroy: (id) => dynamodb.send(new DeleteItemCommand(item(id))),
  };
  const token = {
    async find(id) {
      const { Item } = await read(Provider.ctx.params.clientId);
      const payload = Item?.token && JSON.parse(Item.token.S);
      return payload?.jti === id ? payload : undefined;
    },
    upsert: (_id, payload) => write(payload.clientId, "token", payload),
    // The deletion of the client removes it.
    destroy: async () => {},
  };
  return (model) => (model === "Client" ? client : token);
}
