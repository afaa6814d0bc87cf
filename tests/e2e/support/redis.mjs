// A session store that several gateways share: redis-server, which keeps nothing when it ends.

import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { Program, freePort } from './processes.mjs';

const EXECUTABLE = '/usr/bin/redis-server';

/** Starts redis-server on a free loopback port; `url` is what `session.store` is told. */
export async function startRedis() {
  if (!existsSync(EXECUTABLE)) throw new Error(`no redis-server at ${EXECUTABLE}: apt-get install redis-server`);
  const folder = mkdtempSync(path.join(tmpdir(), 'doorward-redis-'));
  const port = await freePort();
  const settings = ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', folder, '--save', '', '--appendonly', 'no'];
  const program = new Program('redis-server', EXECUTABLE, settings, { env: { PATH: process.env.PATH } });
  await program.ready(async () => (await say(port, 'PING')).startsWith('+PONG'));
  return {
    url: `redis://127.0.0.1:${port}`,
    async stop() {
      await program.stop();
      rmSync(folder, { recursive: true });
    },
  };
}

/** What it answers to one line. */
async function say(port, line) {
  const socket = net.connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    socket.write(`${line}\r\n`);
    const [answer] = await once(socket, 'data');
    return `${answer}`;
  } finally {
    socket.destroy();
  }
}
