// Large bodies, the same every time, no two pieces alike: a lost, doubled or swapped piece changes the checksum.

import { createHash } from 'node:crypto';

const PIECE = 1 << 20;

/** `bytes` bytes in pieces of 1 MiB. */
export function* pieces(bytes) {
  for (let at = 0; at < bytes; at += PIECE) {
    // a new buffer each time: the socket may still be reading the one before
    const piece = Buffer.alloc(Math.min(PIECE, bytes - at), `piece ${at / PIECE};`);
    yield piece;
  }
}

/** The checksum of `pieces(bytes)`. */
export function checksum(bytes) {
  const hash = createHash('sha256');
  for (const piece of pieces(bytes)) hash.update(piece);
  return hash.digest('hex');
}
