// Requests exactly as written: no cookie jar, no redirects, no headers of the client's own choosing.

import http from 'node:http';
import https from 'node:https';

/** Sends one request on its own connection and reads the whole answer. */
export function ask(url, { method = 'GET', headers = {}, body, ...options } = {}) {
  const { request } = url.startsWith('https:') ? https : http;
  return new Promise((answered, failed) => {
    const asking = request(url, { method, headers, agent: false, timeout: 20_000, ...options }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('error', failed);
      response.on('end', () => answered({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks).toString() }));
    });
    asking.on('timeout', () => asking.destroy(new Error(`no answer from ${url}`)));
    asking.on('error', failed);
    asking.end(body);
  });
}

/** What a browser sends when somebody types an address or follows a link (Fetch Metadata). */
export const NAVIGATION = { 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document', 'sec-fetch-site': 'none', accept: 'text/html' };
