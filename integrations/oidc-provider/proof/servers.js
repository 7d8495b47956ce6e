// The two servers of the proof: an authorization server (oidc-provider), and an MCP server that asks it about each token.
import { createServer } from 'node:http';
import { createMcpExpressApp } from '@modelcontextprotocol/sdk/server/express.js';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { InvalidTokenError, ServerError } from '@modelcontextprotocol/sdk/server/auth/errors.js';
import { requireBearerAuth } from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js';
import { mcpAuthMetadataRouter } from '@modelcontextprotocol/sdk/server/auth/router.js';
import { Provider } from 'oidc-provider';

const INTROSPECTOR = { client_id: 'mcp-server', client_secret: 'known-to-both-servers' };
const SCOPE = 'tools';

/** Listens on any free port. `handler` is set later: its server needs the URL. */
export async function listen() {
  const http = createServer((request, response) => http.handler(request, response));
  await new Promise((resolve) => { http.listen(0, '127.0.0.1', resolve); });
  const stop = () => new Promise((resolve) => { http.close(resolve); http.closeAllConnections(); });
  return { url: `http://127.0.0.1:${http.address().port}`, stop, use: (handler) => { http.handler = handler; } };
}

/** The authorization server. `front` is the origin that clients see in `registration_client_uri`; without it, this server
 * answers DELETE itself. */
export function authorizationServer(issuer, adapter, front, clients = []) {
  const provider = new Provider(issuer, {
    adapter,
    clients: [{ ...INTROSPECTOR, redirect_uris: [], response_types: [], grant_types: [] }, ...clients],
    cookies: { keys: ['a key of the proof'] },
    scopes: [SCOPE],
    pkce: { required: () => true },
    findAccount: (_ctx, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
    issueRefreshToken: (_ctx, client) => client.grantTypeAllowed('refresh_token'),
    expiresWithSession: () => false,
    features: {
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: (_ctx, client) => client.clientAuthMethod !== 'none' },
      registration: { enabled: true },
      registrationManagement: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_ctx, audience) => ({ audience, scope: SCOPE, accessTokenFormat: 'opaque' }),
        useGrantedResource: () => true,
      },
      revocation: { enabled: true },
    },
    ttl: { AccessToken: 3600, AuthorizationCode: 60, ClientCredentials: 600, Grant: 1209600, Interaction: 3600, RefreshToken: 1209600, Session: 1209600 },
  });
  if (front) {
    provider.use(async (ctx, next) => {
      if (ctx.method === 'DELETE') ctx.throw(405, { headers: { allow: 'GET, PUT' } });
      await next();
      const uri = ctx.body?.registration_client_uri;
      if (uri) ctx.body.registration_client_uri = new URL(new URL(uri).pathname, front).href;
    });
  }
  return provider;
}

/** RFC 7662. @returns {Promise<{ status: number, body: any }>} */
export async function introspect(issuer, token) {
  const answer = await fetch(`${issuer}/token/introspection`, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa(`${INTROSPECTOR.client_id}:${INTROSPECTOR.client_secret}`)}` },
    body: new URLSearchParams({ token, token_type_hint: 'access_token' }),
  });
  return { status: answer.status, body: await answer.json() };
}

/** An MCP server with one tool. It serves each request on its own, without a session. */
export async function mcpServer(url, issuer) {
  const app = createMcpExpressApp();
  const resource = `${url}/mcp`;
  const oauthMetadata = await (await fetch(`${issuer}/.well-known/oauth-authorization-server`)).json();
  app.use(mcpAuthMetadataRouter({ oauthMetadata, resourceServerUrl: new URL(resource), scopesSupported: [SCOPE] }));
  const verifier = {
    async verifyAccessToken(token) {
      const { status, body } = await introspect(issuer, token);
      if (status !== 200) throw new ServerError(`introspection answers ${status}`);
      if (!body.active || body.aud !== resource) throw new InvalidTokenError('the token is not active');
      return { token, clientId: body.client_id, scopes: body.scope.split(' '), expiresAt: body.exp };
    },
  };
  const resourceMetadataUrl = `${url}/.well-known/oauth-protected-resource/mcp`;
  app.all('/mcp', requireBearerAuth({ verifier, requiredScopes: [SCOPE], resourceMetadataUrl }), async (request, response) => {
    const server = new McpServer({ name: 'proof', version: '1.0.0' });
    server.registerTool('whoami', { description: 'The id of the client that calls' }, ({ authInfo }) => ({
      content: [{ type: 'text', text: authInfo.clientId }],
    }));
    const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined, enableJsonResponse: true });
    response.on('close', () => { transport.close(); server.close(); });
    await server.connect(transport);
    await transport.handleRequest(request, response, request.body);
  });
  return app;
}
