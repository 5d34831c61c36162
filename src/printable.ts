// Makes other programs' text safe for a terminal, a log or a message.

/**
 * Control characters (C0, DEL, C1), line and paragraph separators, and characters that change the
 * direction of text: with them a text can move the cursor, forge a line, or look like another text.
 */
const UNPRINTABLE = /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu

/** The text on one line, with these characters escaped as in JavaScript. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, escaped)
}

function escaped(character: string): string {
  if (character === '\n') return String.raw`\n`
  if (character === '\t') return String.raw`\t`
  const code = character.charCodeAt(0).toString(16)
  return code.length > 2 ? `\\u${code.padStart(4, '0')}` : `\\x${code.padStart(2, '0')}`
}
