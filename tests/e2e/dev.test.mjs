// `doorward dev`: one command, nothing configured, and a person is signed in two clicks later.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { startApplication } from './support/application.mjs';
import { person, received, startBrowser, values } from './support/browser.mjs';
import { BINARY } from './support/gateway.mjs';
import { Program, until } from './support/processes.mjs';

describe('doorward dev', () => {
  let browser;
  let folder;
  before(async () => {
    browser = await startBrowser();
    folder = mkdtempSync(path.join(os.tmpdir(), 'doorward-dev-'));
  });
  after(async () => {
    await browser?.close();
    rmSync(folder, { recursive: true });
  });

  /** Runs it as a newcomer would, in a folder with nothing in it, and returns the one address it prints. */
  async function dev(...args) {
    const program = new Program('doorward dev', BINARY, ['dev', ...args], { cwd: folder, env: { PATH: process.env.PATH } });
    await program.ready(() => /^.*http:\/\/\S+/m.test(program.stdout));
    const addresses = program.stdout.match(/http:\/\/[^\s/]+/g);
    if (addresses.length !== 1) await program.stop();
    assert.equal(addresses.length, 1, `one address, no more: ${program.stdout}`);
    return { program, address: addresses[0] };
  }

  /** Chooses the first person on the development provider's page. */
  async function chooseSomebody(page, address) {
    await page.goto(`${address}/hello?from=dev`);
    assert.notEqual(new URL(page.url()).origin, address, 'the development provider has an address of its own');
    await page.getByRole('button').first().click();
    await page.waitForURL((url) => url.origin === address);
  }

  test('without anything: the built-in page shows X-User and what else it received', async () => {
    const { program, address } = await dev();
    try {
      assert.match(new URL(address).hostname, /^(127\.0\.0\.1|localhost|\[::1\])$/);
      const context = await person(browser);
      const page = await context.newPage();
      await chooseSomebody(page, address);
      assert.equal(page.url(), `${address}/hello?from=dev`);
      const text = await page.locator('body').innerText();
      assert.match(text, /x-user/i);
      assert.match(text, /x-forwarded-/i);
      assert.doesNotMatch(text, /doorward(-login)?=/, "the gateway's cookies do not reach the application");
      await context.close();
    } finally {
      await program.stop();
    }
  });

  test('someone else, with claims typed in, is whom the application is told about', async () => {
    const { program, address } = await dev();
    try {
      const context = await person(browser);
      const page = await context.newPage();
      await page.goto(address);
      await page.getByText('Someone else').click();
      await page.getByLabel('Identifier').fill('zoe-1815');
      await page.getByRole('button', { name: 'Sign in' }).click();
      await page.waitForURL((url) => url.origin === address);
      assert.match(await page.locator('body').innerText(), /zoe-1815/);
      await page.getByRole('link', { name: 'Sign out' }).click();
      await page.waitForURL(`${address}/_auth/signed-out**`);
      await page.goto(address);
      assert.notEqual(new URL(page.url()).origin, address, 'asked again who it is');
      await context.close();
    } finally {
      await program.stop();
    }
  });

  test('--upstream: the same in front of an application of theirs', async () => {
    const application = await startApplication();
    let started;
    try {
      started = await dev('--upstream', application.url);
      const context = await person(browser);
      const page = await context.newPage();
      await chooseSomebody(page, started.address);
      const user = values(await received(page), 'x-user');
      assert.equal(user.length, 1);
      assert.ok(user[0].length > 0);
      await context.close();
    } finally {
      await started?.program.stop();
      await application.stop();
    }
  });

  test('refuses to be reached from elsewhere', async () => {
    for (const listen of ['0.0.0.0:0', '[::]:0']) {
      const program = new Program('doorward dev', BINARY, ['dev', '--listen', listen], { cwd: folder, env: { PATH: process.env.PATH } });
      try {
        await until('it to end by itself', () => program.exit, { seconds: 10 });
      } finally {
        await program.stop();
      }
      assert.equal(program.exit.code, 1, program.log);
      assert.match(program.log, /loopback/i);
    }
  });
});
