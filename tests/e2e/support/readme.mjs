// Which commands a document asks people to type, and what should come of them.

/**
 * Every `sh` block of `markdown`, in order. The comment on the line before it says how it is checked:
 *
 *   <!-- run -->               it ends by itself and succeeds
 *   <!-- run until: TEXT -->   it keeps running; TEXT appears in what it prints
 *   <!-- not run: REASON -->   it cannot be run by a test
 *
 * A block without one of these is returned with `how: undefined`: nobody has decided, so nobody knows whether it works.
 */
export function commands(markdown) {
  const blocks = [];
  const fence = /(?:^<!-- *(run(?: until)?|not run)(?:: *(.*?))? *-->[ \t]*\n\s*)?^```(?:sh|bash|shell|console)\b.*\n([\s\S]*?)^```[ \t]*$/gm;
  for (const match of markdown.matchAll(fence)) {
    const [, how, text, script] = match;
    blocks.push({ how, text, script, line: markdown.slice(0, match.index).split('\n').length });
  }
  return blocks;
}
