// An MCP client built with the SDK, and a simulated person with a browser. The SDK runs all steps of OAuth.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const REDIRECT_URI = 'https://agent.example/callback';

/** A browser with a cookie jar, and a person who logs in and consents. */
class Browser {
  #cookies = new Map();

  /** Follows an authorization URL. Returns the authorization code, and the prompts that the person answered. */
  async authorize(url) {
    const prompts = [];
    let next = { url: String(url) };
    for (let step = 0; step < 20; step += 1) {
      const response = await this.#fetch(next.url, next.form);
      const location = response.headers.get('location');
      if (location?.startsWith(REDIRECT_URI)) return { code: new URL(location).searchParams.get('code'), prompts };
      const [, prompt] = /name="prompt" value="(\w+)"/.exec(await response.text()) ?? [];
      if (prompt) prompts.push(prompt);
      if (!location && !prompt) throw new Error(`the authorization ends with ${response.status}`);
      next = location ? { url: new URL(location, next.url).href }
        : { url: next.url, form: new URLSearchParams({ prompt, login: 'alice', password: 'any' }) };
    }
    throw new Error('the authorization does not end');
  }

  async #fetch(url, form) {
    const cookie = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const headers = { accept: 'text/html', cookie };
    const response = await fetch(url, { headers, redirect: 'manual', ...(form && { method: 'POST', body: form }) });
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      if (value) this.#cookies.set(name, value); else this.#cookies.delete(name);
    }
    return response;
  }
}

/** The client. `log` has every request of the SDK, as `METHOD path status`. */
export class Agent {
  log = [];
  redirectUrl = REDIRECT_URI;
  clientMetadata = {
    client_name: 'An agent', redirect_uris: [REDIRECT_URI], grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'], token_endpoint_auth_method: 'none', scope: 'tools',
  };

  constructor(server, browser = new Browser()) {
    Object.assign(this, { server, browser });
  }

  // What the SDK asks of an OAuthClientProvider:
  clientInformation() { return this.client; }
  saveClientInformation(client) { this.client = client; }
  tokens() { return this.current; }
  saveTokens(tokens) { this.current = tokens; }
  saveCodeVerifier(verifier) { this.verifier = verifier; }
  codeVerifier() { return this.verifier; }
  redirectToAuthorization(url) { this.pending = url; }
  invalidateCredentials(scope) {
    if (['all', 'tokens'].includes(scope)) this.current = undefined;
    if (['all', 'client'].includes(scope)) this.client = undefined;
  }

  /** Opens a connection. It throws UnauthorizedError if the person must authorize first. */
  async connect() {
    await this.connection?.close();
    this.transport = new StreamableHTTPClientTransport(new URL(this.server), { authProvider: this, fetch: (...input) => this.#fetch(...input) });
    this.connection = new Client({ name: 'agent', version: '1.0.0' });
    await this.connection.connect(this.transport);
  }

  /** Calls the tool. Returns the client id that the server sees. */
  async call() {
    const { content } = await this.connection.callTool({ name: 'whoami' });
    return content[0].text;
  }

  /** Lets the person authorize in the browser, and gets the tokens. Returns the prompts that the person answered. */
  async authorize() {
    const { code, prompts } = await this.browser.authorize(this.pending);
    await this.transport.finishAuth(code);
    return prompts;
  }

  /** Whether the promise rejects because the person must authorize. */
  static async mustAuthorize(promise) {
    return promise.then(() => false, (error) => error instanceof UnauthorizedError);
  }

  async #fetch(url, options) {
    const response = await fetch(url, options);
    this.log.push(`${options?.method ?? 'GET'} ${new URL(url).pathname} ${response.status}`);
    // The SDK drops `registration_client_uri` and `registration_access_token`. Without them, no client can delete itself.
    if (response.status === 201) this.registration = await response.clone().json();
    return response;
  }
}
