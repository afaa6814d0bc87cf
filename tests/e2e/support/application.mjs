// The application behind the gateway: it shows what it received, takes and gives large bodies, and keeps connections open.

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';

import { WebSocketServer } from 'ws';

import { pieces } from './content.mjs';

/** Starts the application on a free loopback port; `seen` holds every request it received, in order. */
export async function startApplication() {
  const seen = [];
  const streams = new Set();
  const server = http.createServer((request, response) => {
    seen.push(received(request));
    answer(request, response, streams).catch((error) => response.destroy(error));
  });
  server.on('checkContinue', (request, response) => {
    seen.push(received(request));
    // an application that looks before it reads says 100 only to what it wants
    if (!request.url.startsWith('/refuse')) response.writeContinue();
    answer(request, response, streams).catch((error) => response.destroy(error));
  });
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket, request) => {
    seen.push(received(request));
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  return {
    url: `http://127.0.0.1:${server.address().port}`,
    seen,
    /** Answers of `/events` still open. */
    streams,
    async stop() {
      for (const socket of sockets.clients) socket.terminate();
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}

function received(request) {
  const fields = [];
  for (let at = 0; at < request.rawHeaders.length; at += 2) fields.push([request.rawHeaders[at], request.rawHeaders[at + 1]]);
  return {
    method: request.method,
    target: request.url,
    fields,
    /** Every value of a header, whatever its case and however often it came. */
    all: (name) => fields.filter(([field]) => field.toLowerCase() === name.toLowerCase()).map(([, value]) => value),
  };
}

async function answer(request, response, streams) {
  const { pathname, searchParams } = new URL(request.url, 'http://application');
  switch (pathname) {
    case '/upload':
      return takeUpload(request, response);
    case '/refuse':
      // politely: the answer first, and what is still coming is taken from the wire, or the answer could get lost on its way
      response.writeHead(413, { 'content-type': 'text/plain' }).end('too large');
      request.resume();
      return;
    case '/download':
      return sendDownload(Number(searchParams.get('bytes')), response);
    case '/silence':
      request.resume();
      return;
    case '/events':
      response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
      response.flushHeaders();
      streams.add(response);
      response.on('close', () => streams.delete(response));
      return;
    case '/form':
      response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' });
      response.end('<!doctype html><title>form</title><form method="post" action="/saved"><input name="note"><button>Save</button></form>');
      return;
    default: {
      request.resume();
      const { method, target, fields } = received(request);
      const json = JSON.stringify({ method, target, fields });
      if (searchParams.has('json') || request.headers.accept === 'application/json') {
        response.writeHead(200, { 'content-type': 'application/json' }).end(json);
      } else {
        response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' });
        response.end(`<!doctype html><title>application</title><h1>Application</h1><pre id="received">${json.replaceAll('<', '&lt;')}</pre>`);
      }
    }
  }
}

async function takeUpload(request, response) {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of request) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ bytes, sha256: hash.digest('hex') }));
}

async function sendDownload(bytes, response) {
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': bytes });
  for (const piece of pieces(bytes)) {
    if (!response.write(piece)) await once(response, 'drain');
  }
  response.end();
}
