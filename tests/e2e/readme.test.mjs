// The README's commands, read from the file and typed into a fresh clone: a command that has rotted fails here.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { TARGET } from './support/gateway.mjs';
import { until } from './support/processes.mjs';
import { commands } from './support/readme.mjs';

const REPOSITORY = path.resolve(import.meta.dirname, '../..');
/** The first build in a clone compiles the crate; what it depends on is there already. */
const PATIENCE = 600;

describe('the README', () => {
  let folder;
  before(() => (folder = mkdtempSync(path.join(os.tmpdir(), 'doorward-readme-'))));
  after(() => rmSync(folder, { recursive: true, force: true }));

  const file = path.join(REPOSITORY, 'README.md');
  const blocks = existsSync(file) ? commands(readFileSync(file, 'utf8')) : [];

  test('has commands, and somebody has decided for each how it is checked', () => {
    assert.ok(blocks.some(({ how }) => how === 'run' || how === 'run until'), 'at least one command that is run');
    assert.deepEqual(blocks.filter(({ how }) => !how).map(({ line, script }) => `line ${line}: ${script}`), []);
    assert.deepEqual(blocks.filter(({ how, text }) => how !== 'run' && !text).map(({ line }) => `line ${line}: say what is expected, or why not`), []);
  });

  for (const [number, { how, text, script, line }] of blocks.entries()) {
    if (how !== 'run' && how !== 'run until') continue;
    test(`line ${line}: ${script.trim().split('\n').at(-1)}`, async () => {
      const shell = start(script, path.join(folder, `${number}`));
      try {
        if (how === 'run until') {
          await until(`"${text}"`, () => shell.exit !== undefined || shell.log.includes(text), { seconds: PATIENCE });
          assert.ok(shell.log.includes(text), `"${text}" never appeared:\n${shell.log}`);
        } else {
          await until('the command to end', () => shell.exit !== undefined, { seconds: PATIENCE });
          assert.equal(shell.exit, 0, shell.log);
        }
      } finally {
        await shell.stop();
      }
    });
  }

  /** Runs `script` as typed. One that clones starts in an empty folder and gets this repository; any other starts in a clone. */
  function start(script, home) {
    mkdirSync(home, { recursive: true });
    const origin = /git clone (?:-\S+ )*(\S+)/.exec(script)?.[1];
    if (!origin) execFileSync('git', ['clone', '--quiet', REPOSITORY, home]);
    const child = spawn('bash', ['-euo', 'pipefail', '-c', script], {
      cwd: home,
      // a group of its own, so that what the shell started ends with it
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        CARGO_TARGET_DIR: TARGET,
        ...(origin && { GIT_CONFIG_COUNT: '1', GIT_CONFIG_KEY_0: `url.${REPOSITORY}.insteadOf`, GIT_CONFIG_VALUE_0: origin }),
      },
    });
    const shell = { log: '', exit: undefined };
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => (shell.log += bytes));
    const closed = once(child, 'close').then(([code, signal]) => (shell.exit = code ?? signal));
    shell.stop = async () => {
      if (shell.exit === undefined) process.kill(-child.pid, 'SIGTERM');
      await closed;
    };
    return shell;
  }
});
