// Starts the local run of deregister: its endpoints over an in-memory database.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';

const built = (path) => fileURLToPath(new URL(`../../../target/debug/${path}`, import.meta.url));
export const PROGRAM = process.env.LOCAL ?? built('examples/local');
/** The operator's tool. */
export const DEREGISTERCTL = process.env.DEREGISTERCTL ?? built('deregisterctl');
/** What the SDK and the operator's tool need to reach the database of this machine. */
export const connection = (database) => ({
  AWS_ENDPOINT_URL_DYNAMODB: database, AWS_REGION: 'eu-central-1', AWS_ACCESS_KEY_ID: 'local', AWS_SECRET_ACCESS_KEY: 'local',
});

/** A client of the database. */
export const connect = (endpoint, settings) => new DynamoDBClient({
  endpoint, region: 'eu-central-1', credentials: { accessKeyId: 'local', secretAccessKey: 'local' }, ...settings,
});

/** Starts the program, and waits until it listens. Returns the URLs of the front and of the database, a client of the
 * database, the log of the background functions, and `stop`. */
export async function startLocal(options = [], environment = {}) {
  const child = spawn(PROGRAM, ['--port', '0', '--database-port', '0', '--empty', ...options], {
    env: { REGISTRATION_PATH: '/reg', ...environment }, stdio: ['ignore', 'pipe', 'inherit'],
  });
  process.once('exit', () => child.kill());
  const closed = new Promise((resolve) => { child.once('close', resolve); });
  const failed = new Promise((_, reject) => { child.once('error', reject); });
  const log = [];
  const output = createInterface({ input: child.stdout });
  const listening = new Promise((resolve) => {
    const urls = {};
    output.on('line', (line) => {
      if (line.startsWith('{')) log.push(JSON.parse(line));
      const [, name, url] = /^(database|listening) on (\S+)$/.exec(line) ?? [];
      if (name) urls[name] = url;
      if (name === 'listening') resolve(urls);
    });
  });
  const urls = await Promise.race([listening, failed, closed.then(() => { throw new Error('the local run ended'); })]);
  const dynamodb = connect(urls.database);
  return {
    front: urls.listening,
    database: urls.database,
    dynamodb,
    log,
    async stop() {
      dynamodb.destroy();
      child.kill();
      await closed;
    },
  };
}
