// Bodies are passed on, not kept: large ones both ways with flat memory, slow ones at once, refused ones early.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { after, before, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import { sessionCookie } from './support/browser.mjs';
import { checksum, pieces } from './support/content.mjs';
import { ask } from './support/http.mjs';
import { soon, until } from './support/processes.mjs';
import { startWorld } from './support/world.mjs';

const GIB = 1 << 30;
const MIB = 1 << 20;

/** A line of /proc/PID/status, in bytes. */
function memory(pid, line) {
  return Number(new RegExp(`^${line}:\\s+(\\d+) kB$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) * 1024;
}

describe('bodies', () => {
  let world;
  let cookie;
  before(async () => {
    world = await startWorld();
    cookie = await sessionCookie(world.publicUrl, 'alice', { secrets: world.secrets });
  });
  after(() => world?.stop());

  /** Does `work` and returns by how many bytes the gateway's resident memory grew at its highest. */
  async function growthDuring(work) {
    const { pid } = world.gateway;
    // what the first requests allocate once belongs to neither side
    for (let n = 0; n < 20; n++) await ask(`${world.publicUrl}/`, { headers: { cookie } });
    writeFileSync(`/proc/${pid}/clear_refs`, '5'); // proc(5): resets VmHWM to VmRSS
    const idle = memory(pid, 'VmRSS');
    await work();
    return memory(pid, 'VmHWM') - idle;
  }

  function send(path, { method = 'POST', headers = {} } = {}) {
    const request = http.request(world.publicUrl + path, { method, agent: false, headers: { cookie, ...headers } });
    request.flushHeaders();
    return request;
  }

  // T-113
  test('1 GiB up: every byte arrives and memory stays flat', async () => {
    const growth = await growthDuring(async () => {
      const request = send('/upload', { headers: { 'content-length': GIB } });
      const answered = soon(request, 'response', { seconds: 120 });
      await pipeline(Readable.from(pieces(GIB)), request);
      const [response] = await answered;
      const told = JSON.parse(Buffer.concat(await response.toArray()).toString());
      assert.deepEqual(told, { bytes: GIB, sha256: checksum(GIB) });
    });
    assert.ok(growth < 32 * MIB, `grew by ${(growth / MIB).toFixed(1)} MiB`);
  });

  // T-113
  test('1 GiB down: every byte arrives and memory stays flat', async () => {
    const growth = await growthDuring(async () => {
      const request = send(`/download?bytes=${GIB}`, { method: 'GET' });
      request.end();
      const [response] = await soon(request, 'response');
      const hash = createHash('sha256');
      let bytes = 0;
      for await (const chunk of response) {
        hash.update(chunk);
        bytes += chunk.length;
      }
      assert.deepEqual({ bytes, sha256: hash.digest('hex') }, { bytes: GIB, sha256: checksum(GIB) });
    });
    assert.ok(growth < 32 * MIB, `grew by ${(growth / MIB).toFixed(1)} MiB`);
  });

  test('a body of unknown length arrives whole', async () => {
    const request = send('/upload', { headers: { 'transfer-encoding': 'chunked' } });
    const answered = soon(request, 'response', { seconds: 120 });
    await pipeline(Readable.from(pieces(5 * MIB + 3)), request);
    const [response] = await answered;
    const told = JSON.parse(Buffer.concat(await response.toArray()).toString());
    assert.deepEqual(told, { bytes: 5 * MIB + 3, sha256: checksum(5 * MIB + 3) });
  });

  // T-113
  test('a caller who asks first (100-continue) is told to go on', async () => {
    const accepted = send('/upload', { headers: { 'content-length': MIB, expect: '100-continue' } });
    const answered = soon(accepted, 'response', { seconds: 120 });
    await soon(accepted, 'continue');
    await pipeline(Readable.from(pieces(MIB)), accepted);
    const [response] = await answered;
    assert.equal(response.statusCode, 200);
    response.resume();
  });

  // T-031, T-110, T-113
  for (const [why, path, status, headers] of [
    ['nobody is signed in', '/upload', 401, { cookie: '' }],
    ['nobody is signed in, and the caller asked first', '/upload', 401, { cookie: '', expect: '100-continue' }],
    ['the application refuses it', '/refuse', 413, {}],
    ['the application refuses it, and the caller asked first', '/refuse', 413, { expect: '100-continue' }],
  ]) {
    test(`a large body is refused with an answer that arrives: ${why}`, async () => {
      const before = world.application.seen.length;
      const answers = [];
      // whether an answer survives the closing of the connection under the rest of the body is a matter of luck: not once but always
      for (let round = 0; round < 10; round++) answers.push(await refused(path, headers));
      assert.deepEqual(answers, Array(10).fill(status));
      if (status === 401) assert.equal(world.application.seen.length, before, 'the application never hears of it');
    });
  }

  /** Sends 8 MiB (one who asked first: once told to) for as long as anybody listens; returns the answer's status, or why there was none. */
  async function refused(path, headers) {
    const request = send(path, { headers: { 'content-length': 8 * MIB, ...headers } });
    request.on('error', () => {});
    let sending;
    const go = () => (sending = pipeline(Readable.from(pieces(8 * MIB)), request).catch(() => {}));
    if (headers.expect) request.on('continue', go);
    else go();
    try {
      const [response] = await soon(request, 'response');
      await response.toArray();
      return response.statusCode;
    } catch (error) {
      return error.code;
    } finally {
      request.destroy();
      await sending;
    }
  }

  // T-112
  test('events are delivered as they happen, and a caller who leaves is noticed by the application', async () => {
    const request = send('/events', { method: 'GET', headers: { accept: 'text/event-stream' } });
    request.end();
    const [response] = await soon(request, 'response');
    assert.equal(response.headers['content-type'], 'text/event-stream');
    const [stream] = world.application.streams;
    for (const number of [1, 2, 3]) {
      stream.write(`data: ${number}\n\n`);
      // the next event is written only when this one has arrived: nothing may be held back
      const [chunk] = await soon(response, 'data');
      assert.equal(chunk.toString(), `data: ${number}\n\n`);
    }
    response.on('error', () => {});
    request.destroy();
    await until('the application to notice', () => world.application.streams.size === 0);
  });
});

// T-112, T-113: a limit on waiting for an application is none on how long people take to send, or it to answer
describe('slow bodies, with an application that has a second to begin its answer', () => {
  let world;
  let cookie;
  before(async () => {
    world = await startWorld({ env: { DOORWARD_LIMITS__UPSTREAM_RESPONSE_TIMEOUT: '1s' } });
    cookie = await sessionCookie(world.publicUrl, 'alice', { secrets: world.secrets });
  });
  after(() => world?.stop());

  async function* slowly(chunks) {
    for (let number = 0; number < chunks; number++) {
      yield Buffer.alloc(1000, `${number}`);
      await pause(250);
    }
  }

  test('an upload that takes longer arrives', async () => {
    const request = http.request(`${world.publicUrl}/upload`, { method: 'PUT', agent: false, headers: { cookie, 'content-length': 10_000 } });
    const answered = soon(request, 'response');
    await pipeline(Readable.from(slowly(10)), request).catch(() => {});
    const [response] = await answered;
    assert.equal(response.statusCode, 200);
    assert.equal(JSON.parse(Buffer.concat(await response.toArray()).toString()).bytes, 10_000);
  });

  test('an answer that takes longer arrives', async () => {
    const request = http.get(`${world.publicUrl}/events`, { agent: false, headers: { cookie } });
    const [response] = await soon(request, 'response');
    const [stream] = world.application.streams;
    await pipeline(Readable.from(slowly(10)), stream);
    assert.equal(Buffer.concat(await response.toArray()).length, 10_000);
  });

  test('an application that says nothing is 504', async () => {
    const answer = await ask(`${world.publicUrl}/silence`, { method: 'POST', body: 'x', headers: { cookie } });
    assert.equal(answer.status, 504);
  });
});
