export interface Theme {
  name: 'light' | 'dark'
  surface: string
  text: string
  muted: string
  grid: string
  peer: string
  subject: string
  /** Peers that a reader compares with by name. */
  accents: readonly string[]
}

export const themes: readonly Theme[] = [
  {
    name: 'light',
    surface: '#ffffff',
    text: '#1f2328',
    muted: '#59636e',
    grid: '#e4e8ec',
    peer: '#8c959f',
    subject: '#d1500c',
    accents: ['#0969da', '#1a7f37', '#8250df']
  },
  {
    name: 'dark',
    surface: '#0d1117',
    text: '#f0f6fc',
    muted: '#9198a1',
    grid: '#262c36',
    peer: '#7d8590',
    subject: '#ff8b3d',
    accents: ['#58a6ff', '#3fb950', '#bc8cff']
  }
]

type Attributes = Record<string, string | number | undefined>

export const escape = (text: string): string =>
  text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')

const short = (value: string | number) =>
  typeof value === 'number' ? String(Math.round(value * 10) / 10) : escape(value)

export function element(name: string, attributes: Attributes, content = ''): string {
  const list = Object.entries(attributes)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}="${short(value as string | number)}"`)
    .join('')
  return content ? `<${name}${list}>${content}</${name}>` : `<${name}${list}/>`
}

export const text = (x: number, y: number, content: string, attributes: Attributes = {}): string =>
  element('text', { x, y, ...attributes }, escape(content))

export const line = (
  x1: number,
  y1: number,
  x2: number,
  y2: number,
  attributes: Attributes
): string => element('line', { x1, y1, x2, y2, ...attributes })

export const circle = (cx: number, cy: number, r: number, attributes: Attributes): string =>
  element('circle', { cx, cy, r, ...attributes })

/** The frame that all pictures share: surface, title, one line of explanation. */
export function drawing(
  theme: Theme,
  size: { width: number; height: number },
  head: { title: string; subtitle: string },
  content: readonly string[]
): string {
  const { width, height } = size
  return (
    element(
      'svg',
      {
        xmlns: 'http://www.w3.org/2000/svg',
        width,
        height,
        viewBox: `0 0 ${width} ${height}`,
        role: 'img',
        'font-family': "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif",
        'font-size': 13
      },
      [
        element('title', {}, escape(head.title)),
        element('rect', { width, height, rx: 8, fill: theme.surface }),
        text(24, 34, head.title, { fill: theme.text, 'font-size': 17, 'font-weight': 600 }),
        text(24, 54, head.subtitle, { fill: theme.muted }),
        ...content
      ].join('\n')
    ) + '\n'
  )
}
