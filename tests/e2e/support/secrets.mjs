// What must never stand in a log, gathered while a test runs, and the search for it.

const WINDOW = 16;

/** Values that passed between browser, gateway and provider, each with what it is. */
export class Secrets {
  #kinds = new Map();

  add(kind, value) {
    if (typeof value === 'string' && value.length >= 8) this.#kinds.set(value, kind);
  }

  get size() {
    return this.#kinds.size;
  }

  /** What has been gathered, by kind: a search that looked for nothing proves nothing. */
  kinds() {
    return new Set(this.#kinds.values());
  }

  /** The kinds of secret of which any piece of 16 characters stands in `text`: cut, quoted or encoded values count as well. */
  in(text) {
    const windows = new Set();
    for (let at = 0; at + WINDOW <= text.length; at++) windows.add(text.slice(at, at + WINDOW));
    const leaks = new Set();
    for (const [value, kind] of this.#kinds) {
      for (const form of [value, encodeURIComponent(value), Buffer.from(value).toString('base64')]) {
        const found =
          form.length < WINDOW
            ? text.includes(form)
            : Array.from({ length: form.length - WINDOW + 1 }, (_, at) => form.slice(at, at + WINDOW)).some((piece) => windows.has(piece));
        if (found) leaks.add(kind);
      }
    }
    return [...leaks];
  }
}
