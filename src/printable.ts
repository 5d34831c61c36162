// Other people's bytes, as they may reach a terminal, a log or a message.

/**
 * Controls (C0, DEL, C1), the separators of lines and paragraphs, and what turns the direction of
 * writing: with them a text can move the cursor, forge a line, or read otherwise than it is.
 */
const UNPRINTABLE = /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu

/** The text on one line, with what would act instead of being read in JavaScript's escapes. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, escaped)
}

function escaped(character: string): string {
  if (character === '\n') return String.raw`\n`
  if (character === '\t') return String.raw`\t`
  const code = character.charCodeAt(0).toString(16)
  return code.length > 2 ? `\\u${code.padStart(4, '0')}` : `\\x${code.padStart(2, '0')}`
}
