import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** A fenced block of a page. */
export interface Example {
  /** Its place: `docs/cache.md:9`. */
  readonly at: string
  readonly language: string
  readonly text: string
  /** Why it is not run, according to its first line. */
  readonly notRun: string | undefined
  /** The `text` block that follows: its output. */
  readonly prints: string | undefined
}

const BLOCK = /^```(ts|js|sh)\n([\s\S]*?)^```\n(?:\n```text\n([\s\S]*?)^```\n)?/gm

const NOT_RUN = /^(?:#|\/\/) not run: (.+)\n/

/** The programs of some pages. */
export function examples(repository: string, pages: string[]): Example[] {
  return pages.flatMap((page) => {
    const text = readFileSync(join(repository, page), 'utf8')
    return [...text.matchAll(BLOCK)].map((match) => ({
      at: `${page}:${text.slice(0, match.index).split('\n').length}`,
      language: match[1]!,
      text: match[2]!,
      notRun: NOT_RUN.exec(match[2]!)?.[1],
      prints: match[3]
    }))
  })
}

/** Whether the output is the page's; `…` there stands for any text. */
export function matches(printed: string, said: string): boolean {
  const pattern = said
    .split('…')
    .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`))
  return new RegExp(`^${pattern.join('[^]*?')}$`).test(printed)
}
