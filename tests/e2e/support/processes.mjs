// Starting programs, knowing when they are ready, and ending exactly those.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

// Whatever way this process ends, what it started ends with it.
const running = new Set();
process.once('exit', () => running.forEach((child) => child.kill('SIGKILL')));
process.once('SIGTERM', () => process.exit(143));

/** A TCP port on loopback that nobody listens on. */
export async function freePort() {
  for (;;) {
    const server = net.createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address();
    server.close();
    await once(server, 'close');
    // a port that is free again at once may come twice, before anybody listens there
    if (given.has(port)) continue;
    given.add(port);
    return port;
  }
}

const given = new Set();

/** The next `event`, which has `seconds` to happen. */
export const soon = (emitter, event, { seconds = 20 } = {}) => once(emitter, event, { signal: AbortSignal.timeout(seconds * 1000) });

/**
 * Asks `question` until it answers something true, at most `seconds`; what it threw last is the cause when time is up.
 * Polling is for other people's processes only, which have no event to wait for.
 */
export async function until(what, question, { seconds = 20 } = {}) {
  const end = performance.now() + seconds * 1000;
  let cause;
  while (performance.now() < end) {
    try {
      const answer = await question();
      if (answer) return answer;
    } catch (error) {
      cause = error;
    }
    await pause(20);
  }
  throw new Error(`waited ${seconds} s for ${what}`, { cause });
}

/** A running program: everything it wrote, in `log`, and a `stop` that ends it and nothing else. */
export class Program {
  constructor(name, command, args, { env, cwd } = {}) {
    this.name = name;
    this.log = '';
    this.stdout = '';
    this.exit = undefined;
    this.child = spawn(command, args, { env, cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    this.child.stdout.on('data', (bytes) => {
      this.stdout += bytes;
      this.log += bytes;
    });
    this.child.stderr.on('data', (bytes) => (this.log += bytes));
    running.add(this.child);
    this.ended = new Promise((ended) => {
      const end = (how) => {
        running.delete(this.child);
        ended((this.exit = how));
      };
      this.child.once('error', (error) => end({ error }));
      // `close` comes after the last byte of output, `exit` may come before it
      this.child.once('close', (code, signal) => end({ code, signal }));
    });
  }

  get pid() {
    return this.child.pid;
  }

  /** Waits for `question`, or fails at once when the program ends before it could answer. */
  async ready(question, options) {
    await until(`${this.name} to be ready`, async () => {
      if (this.exit) return true;
      return question();
    }, options).catch((error) => {
      throw new Error(`${error.message}\n${this.log}`, { cause: error.cause });
    });
    if (this.exit) throw new Error(`${this.name} ended before it was ready: ${JSON.stringify(this.exit)}\n${this.log}`);
  }

  /** Asks the program to end (SIGTERM) and returns how it did. Ends it for good after `seconds`, which is an error. */
  async stop({ seconds = 20 } = {}) {
    if (this.exit) return this.exit;
    this.child.kill('SIGTERM');
    const patience = new AbortController();
    const late = pause(seconds * 1000, 'late', { signal: patience.signal }).catch(() => 'in time');
    const how = await Promise.race([this.ended, late]);
    patience.abort();
    if (how !== 'late') return how;
    this.child.kill('SIGKILL');
    await this.ended;
    throw new Error(`${this.name} was still running ${seconds} s after SIGTERM\n${this.log}`);
  }
}
