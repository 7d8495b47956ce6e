// Runs every program of the README, and checks the options of its commands.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { after, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { DescribeTimeToLiveCommand } from '@aws-sdk/client-dynamodb';
import { listen } from '../proof/servers.js';
import { PROGRAM, connection, startLocal } from './local.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const readme = await readFile(`${root}README.md`, 'utf8');
const blocks = [...readme.matchAll(/^```(\w+) ?(\S*)\n(.*?)^```$/gms)].map(([, language, name, text]) => ({ language, name, text }));
const run = promisify(execFile);
// In the folder of the package, so that its name leads to this source.
const folder = await mkdtemp(`${root}readme-`);
after(() => rm(folder, { recursive: true }));

it('has only programs that this test runs', () => {
  assert.deepEqual(blocks.filter(({ language }) => language !== 'sh').map(({ name }) => name), ['setup.mjs', 'server.mjs', 'import.mjs', 'try.mjs']);
});

it('its programs do what it says', async (t) => {
  const free = await listen();
  await free.stop();
  const local = await startLocal(['--registration-server', `${free.url}/reg`], { AWS_LAMBDA_LOG_LEVEL: 'ERROR' });
  t.after(() => local.stop());
  for (const { name, text } of blocks.filter((block) => block.name)) await writeFile(`${folder}/${name}`, text);
  const env = { ...process.env, ...connection(local.database), ISSUER: free.url, FRONT: local.front, PORT: new URL(free.url).port, COOKIE_KEY: 'any' };
  await run(process.execPath, [`${folder}/setup.mjs`], { env });
  const ttl = await local.dynamodb.send(new DescribeTimeToLiveCommand({ TableName: 'grants' }));
  assert.equal(ttl.TimeToLiveDescription.AttributeName, 'expires_at');

  const server = spawn(process.execPath, [`${folder}/server.mjs`], { env, stdio: 'ignore' });
  t.after(() => server.kill());
  for (let tries = 0; !await fetch(free.url).catch(() => undefined); tries += 1) {
    assert.ok(tries < 100, 'the server listens');
    await new Promise((resolve) => { setTimeout(resolve, 100); });
  }
  await run(process.execPath, [`${folder}/import.mjs`], { env });
  const imported = await fetch(`${free.url}/reg/an-earlier-client`, { headers: { authorization: 'Bearer its-token' } });
  assert.deepEqual([imported.status, (await imported.json()).client_secret], [200, 'its secret']);
  const { stdout } = await run(process.execPath, [`${folder}/try.mjs`], { env });
  assert.equal(stdout, 'active: true\nDELETE: 204\nactive: false\n');
  const closed = await fetch(`${free.url}/reg/any`, { method: 'DELETE' });
  assert.deepEqual([closed.status, closed.headers.get('allow')], [405, 'GET, PUT']);
});

it('the package has what its programs import', async () => {
  const { stdout } = await run('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: root });
  const [{ files }] = JSON.parse(stdout);
  assert.deepEqual(files.map(({ path }) => path).sort(), ['LICENSE', 'README.md', 'clients.js', 'index.d.ts', 'index.js', 'package.json']);
});

it('its command for the local run has options that exist', async () => {
  const { stdout: help } = await run(PROGRAM, ['--help']);
  const command = blocks.find(({ text }) => text.includes('--example local')).text;
  for (const option of command.match(/--(?!example)[a-z][a-z-]*/g)) assert.ok(help.includes(option), option);
});
