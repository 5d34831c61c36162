import { fair, type Measure } from '../measure.js'
import { measures } from '../measures/index.js'
import { remark, unsafe, values, type Contender, type Result, type Results } from '../results.js'
import { median } from '../statistics.js'
import { barRows, ratios, subject } from './bars.js'
import { spread } from './figure.js'
import { captions } from './pictures.js'
import { table } from './table.js'

const mark = (name: string, lossy: ReadonlyMap<string, number>) =>
  name + (lossy.has(name) ? ' †' : '')

const measureOf = (result: Result) =>
  measures.find(({ name }) => name === result.measure) as Measure

function measureSection(
  result: Result,
  results: readonly Result[],
  lossy: ReadonlyMap<string, number>
): string {
  const measure = measureOf(result)
  const primary = measure.metrics[0]!
  const withRatio = !measure.bars.some((bar) => bar.metric === primary.key && bar.of === undefined)
  const hasSubject =
    values(
      result.entries.find(({ adapter }) => adapter === subject),
      primary.key
    ).length > 0
  const ratio = withRatio && hasSubject

  const rows = result.entries.map((entry) => {
    const cells = measure.metrics.map(({ key }) =>
      spread(values(entry, key), median(values(entry, key)))
    )
    if (ratio) {
      const bar = { metric: primary.key, is: '≥', value: 1, of: entry.adapter } as const
      const all = entry.adapter === subject ? [] : ratios(bar, primary, result, results)
      cells.push(all.length ? `× ${spread(all, median(all))}` : '')
    }
    return [mark(entry.adapter, lossy), ...cells, remark(entry)]
  })
  const head = [
    'contender',
    ...measure.metrics.map(({ title, unit }) => (unit ? `${title}, ${unit}` : title)),
    ...(ratio ? [`${subject} ÷ it`] : []),
    ''
  ]
  const rounds = Math.max(0, ...result.entries.map((entry) => entry.rounds.length))
  return `### ${measure.title}\n\n${measure.how} Rounds: ${rounds}.\n\n${table(head, rows)}\n`
}

function contenderRow(
  { name, version, how, absent }: Contender,
  lossy: ReadonlyMap<string, number>
): string[] {
  return [mark(name, lossy), absent ? `absent: ${absent}` : version, how]
}

function picture({ name, text }: { name: string; text: string }): string {
  return `<picture><source media="(prefers-color-scheme: dark)" srcset="pictures/${name}-dark.svg"><img src="pictures/${name}-light.svg" alt="${text}"></picture>\n`
}

/** The whole report. Every number in it is from `found`. */
export function markdown(found: Results, options: { pictures: boolean }): string {
  const { results } = found
  const lossy = unsafe(results)
  const bars = results.flatMap((result) => barRows(measureOf(result), result, results))
  const losses = [...lossy].map(([name, lost]) => `${name} ${lost}`).join(', ')
  const sections = [
    '# Benchmark\n',
    `<!-- Written by \`npm run bench\`; not edited. -->\n`,
    `Run on ${found.startedAt} in ${found.seconds} s${found.quick ? ', quick mode: shorter and fewer than the texts below say, not for publishing' : ''}.`,
    `Values are medians over rounds (lowest…highest). In a round all contenders run one after the other, in an order that rotates from round to round; ratios are formed within a round. Contenders that nobody compares with closely, and slow ones, run fewer rounds. A fair peer is one with a Jain index of at least ${fair}.\n`,
    table(['machine', ''], Object.entries(found.machine)) + '\n',
    '## Bars\n',
    table(['measure', 'bar', subject, `${subject} ÷ rival`, ''], bars) + '\n',
    lossy.size
      ? `† lost updates in this run (${losses}): its other numbers are not those of a lock, and it is never "the best peer".\n`
      : '',
    ...(options.pictures ? ['## Pictures\n', ...captions(found).map(picture)] : []),
    '## Measures\n',
    ...results.map((result) => measureSection(result, results, lossy)),
    '## Contenders\n',
    'Each as a sensible user would lock a directory with it; all but the variants open their file for each lock.\n',
    table(
      ['contender', 'version', 'how'],
      found.contenders.map((contender) => contenderRow(contender, lossy))
    ) + '\n'
  ]
  return sections.filter(Boolean).join('\n')
}
