// The peer: oidc-provider as its documentation sets it up, with clients that register and manage themselves, on
// 127.0.0.1 and the port given; 0 for any free one. It says where it listens.
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { Provider } from "oidc-provider";

const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const server = createServer();
server.listen(Number(process.argv[2] ?? 0), "127.0.0.1", () => {
  const url = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(url, {
    cookies: { keys: [randomBytes(32).toString("hex")] },
    features: {
      devInteractions: { enabled: false },
      registration: { enabled: true },
      registrationManagement: { enabled: true, rotateRegistrationAccessToken: false },
    },
    jwks: { keys: [privateKey.export({ format: "jwk" })] },
  });
  server.on("request", provider.callback());
  console.log(url);
});
