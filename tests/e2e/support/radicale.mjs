// Radicale (PyPI), a calendar server that believes the header X-Remote-User: an application nobody here wrote.

import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import { ask } from './http.mjs';
import { Program, freePort } from './processes.mjs';

const PYTHON = process.env.E2E_PYTHON ?? path.resolve(import.meta.dirname, '../.venv/bin/python');

/** Starts Radicale with an empty store; everybody owns what is under their own name. */
export async function startRadicale() {
  if (!existsSync(PYTHON)) throw new Error(`no ${PYTHON}: tests/run e2e prepares it`);
  const folder = mkdtempSync(path.join(os.tmpdir(), 'radicale-'));
  const port = await freePort();
  writeFileSync(
    path.join(folder, 'config'),
    [
      `[server]\nhosts = 127.0.0.1:${port}`,
      '[auth]\ntype = http_x_remote_user\ndelay = 0',
      '[rights]\ntype = owner_only',
      `[storage]\nfilesystem_folder = ${path.join(folder, 'collections')}`,
      '[web]\ntype = internal',
    ].join('\n'),
  );
  const program = new Program('radicale', PYTHON, ['-m', 'radicale', '--config', path.join(folder, 'config')], { env: { PATH: process.env.PATH } });
  await program.ready(async () => (await ask(`http://127.0.0.1:${port}/.web/`)).status === 200);
  return {
    url: `http://127.0.0.1:${port}`,
    async stop() {
      await program.stop();
      rmSync(folder, { recursive: true });
    },
  };
}
