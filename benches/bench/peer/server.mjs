// A server with oidc-provider, set up as its documentation shows. Clients can register and manage themselves. The
// argument is the name of the adapter. The server listens on a free port of 127.0.0.1, and prints its URL.
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { createAdapter } from "deregister-oidc-provider";
import { Provider } from "oidc-provider";
import { plainAdapter, tunedAdapter } from "./adapters.mjs";

const dynamodb = new DynamoDBClient();
const adapters = {
  deregister: () => createAdapter({ dynamodb }),
  plain: () => plainAdapter(dynamodb, "plain"),
  tuned: () => tunedAdapter(dynamodb, "tuned"),
};
const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const url = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(url, {
    adapter: adapters[process.argv[2]](),
    cookies: { keys: [randomBytes(32).toString("hex")] },
    features: {
      devInteractions: { enabled: false },
      registration: { enabled: true },
      registrationManagement: { enabled: true, rotateRegistrationAccessToken: false },
    },
    jwks: { keys: [privateKey.export({ format: "jwk" })] },
    routes: { registration: "/register" },
  });
  provider.on("server_error", (_ctx, error) => console.error(error));
  server.on("request", provider.callback());
  console.log(url);
});
