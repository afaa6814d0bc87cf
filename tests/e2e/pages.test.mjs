// The gateway's own pages, looked at in a browser: narrow screens, keyboard, dark mode, and nothing that the policy forbids.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { person, startBrowser } from './support/browser.mjs';
import { TARGET } from './support/gateway.mjs';
import { startWorld } from './support/world.mjs';

const PICTURES = path.join(TARGET, 'e2e-pages');

describe("the gateway's own pages", () => {
  let world;
  let browser;
  before(async () => {
    mkdirSync(PICTURES, { recursive: true });
    // two providers, one of them never reached: a choice to make
    world = await startWorld({
      env: {
        DOORWARD_PROVIDERS__PARTNERS__ISSUER: 'https://identity.partners.example',
        DOORWARD_PROVIDERS__PARTNERS__DISPLAY_NAME: 'Donaudampfschifffahrtsgesellschaftskapitäne & "Partners" <GmbH>',
        DOORWARD_PROVIDERS__PARTNERS__CLIENT_ID: 'doorward',
        DOORWARD_PROVIDERS__PARTNERS__CLIENT_SECRET: 'also-a-secret-but-of-nobody',
        DOORWARD_PROVIDERS__PARTNERS__USER_PREFIX: 'partners:',
        DOORWARD_PROVIDERS__TEST__USER_PREFIX: 'test:',
        // so that `state` can be read from the address
        DOORWARD_PROVIDERS__TEST__PUSHED_AUTHORIZATION_REQUESTS: 'when_required',
      },
    });
    browser = await startBrowser();
  });
  after(async () => {
    await browser?.close();
    await world?.stop();
  });

  const LONG = `${'incomprehensibility'.repeat(20)} <b>bold</b>`;
  const PAGES = [
    ['chooser', '/_auth/login?rd=/wanted', 200],
    ['error', '/_auth/callback/test?code=made-up&state=made-up', 400],
    ['refusal', ({ state, iss }) => `/_auth/callback/test?${new URLSearchParams({ state, iss, error: 'access_denied', error_description: LONG })}`, 403],
    ['provider-error', ({ state, iss }) => `/_auth/callback/test?${new URLSearchParams({ state, iss, error: LONG, error_description: LONG })}`, 502],
    ['signed-out', '/_auth/signed-out', 200],
  ];

  /** Begins a sign-in and returns what only this browser, from this provider, can come back with. */
  async function beginSignIn(page) {
    const [request] = await Promise.all([
      page.waitForRequest((asked) => asked.url().startsWith(`${world.provider.issuer}/auth?`)),
      page.goto(`${world.publicUrl}/_auth/login?provider=test&rd=/wanted`),
    ]);
    return { state: new URL(request.url()).searchParams.get('state'), iss: world.provider.issuer };
  }

  for (const [name, target, status] of PAGES) {
    for (const colorScheme of ['light', 'dark']) {
      test(`${name}, ${colorScheme}: fits into 320 px, breaks no policy, can be read`, async () => {
        const context = await person(browser, { secrets: world.secrets, colorScheme, viewport: { width: 320, height: 640 } });
        const page = await context.newPage();
        const where = typeof target === 'string' ? target : target(await beginSignIn(page));
        const complaints = [];
        page.on('console', (message) => complaints.push(message.text()));
        page.on('pageerror', (error) => complaints.push(error.message));
        const answer = await page.goto(world.publicUrl + where);
        await page.screenshot({ path: path.join(PICTURES, `${name}-${colorScheme}.png`), fullPage: true });

        assert.equal(answer.status(), status);
        const headers = answer.headers();
        assert.match(headers['content-security-policy'], /default-src 'none'/);
        assert.match(headers['content-security-policy'], /frame-ancestors 'none'/);
        assert.equal(headers['x-content-type-options'], 'nosniff');
        assert.match(headers['cache-control'], /no-store/);
        // Chromium reports the status of the page itself as well
        assert.deepEqual(complaints.filter((text) => !/status of [45]\d\d/.test(text)), []);

        const width = await page.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(width <= 320, `${width} px wide`);
        assert.ok(await page.locator('html[lang]').count(), 'a language for those who listen');
        assert.equal(await page.getByRole('main').count(), 1);
        assert.equal(await page.getByRole('heading', { level: 1 }).count(), 1);
        assert.ok((await page.title()).length > 0);
        assert.equal(await page.locator('script').count(), 0);
        const contrast = await page.evaluate(lowestContrast);
        assert.ok(contrast.ratio >= 4.5, `contrast ${contrast.ratio.toFixed(2)} of "${contrast.text}" (WCAG 1.4.3 asks 4.5)`);
        await context.close();
      });
    }
  }

  test('the chooser is used by keyboard alone', async () => {
    const context = await person(browser, { secrets: world.secrets });
    const page = await context.newPage();
    await page.goto(`${world.publicUrl}/wanted`);
    assert.equal(new URL(page.url()).pathname, '/_auth/login', 'several providers: the person chooses');
    let focused;
    for (let presses = 0; presses < 5 && !/test/i.test(focused ?? ''); presses++) {
      await page.keyboard.press('Tab');
      focused = await page.evaluate(() => document.activeElement.textContent.trim());
      const outline = await page.evaluate(() => {
        const { outlineStyle, boxShadow } = getComputedStyle(document.activeElement);
        return outlineStyle !== 'none' || boxShadow !== 'none';
      });
      assert.ok(outline, `one sees where the focus is: ${focused}`);
    }
    await page.keyboard.press('Enter');
    await page.waitForURL((url) => url.origin === world.provider.issuer);
    await context.close();
  });

  // T-043
  test('what a stranger put into the address is shown as text or not at all', async () => {
    const context = await person(browser, { secrets: world.secrets });
    const page = await context.newPage();
    const hostile = '<img src=x onerror="document.title=1"><script>document.title=2</script>';
    for (const params of [
      { state: 'x', code: hostile },
      { ...(await beginSignIn(page)), error: hostile, error_description: hostile },
      { ...(await beginSignIn(page)), error: 'access_denied', error_description: hostile, error_uri: `javascript:${hostile}` },
    ]) {
      await page.goto(`${world.publicUrl}/_auth/callback/test?${new URLSearchParams(params)}`);
      assert.equal(await page.locator('img, script, [href^="javascript:" i]').count(), 0);
      assert.doesNotMatch(await page.title(), /^[12]$/);
    }
    await context.close();
  });
});

/** Runs in the page: the text with the least contrast against what is painted behind it (WCAG 2.2, relative luminance). */
function lowestContrast() {
  const parse = (color) => color.match(/[\d.]+/g).map(Number);
  const luminance = ([red, green, blue]) => {
    const [r, g, b] = [red, green, blue].map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const dark = matchMedia('(prefers-color-scheme: dark)').matches && getComputedStyle(document.documentElement).colorScheme.includes('dark');
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = parse(getComputedStyle(at).backgroundColor);
      if (color.length === 3 || color[3] > 0) return color;
    }
    return dark ? [18, 18, 18] : [255, 255, 255];
  };
  let lowest = { ratio: Infinity, text: '' };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const { textContent, parentElement } = texts.currentNode;
    if (!textContent.trim() || !parentElement.checkVisibility()) continue;
    const [one, other] = [luminance(parse(getComputedStyle(parentElement).color)), luminance(behind(parentElement))].sort((a, b) => b - a);
    const ratio = (one + 0.05) / (other + 0.05);
    if (ratio < lowest.ratio) lowest = { ratio, text: textContent.trim().slice(0, 60) };
  }
  return lowest;
}
