// What an ELF shared library needs from others: its undefined dynamic symbols (elf(5)).

/** Their names. @param file 64 bits, little endian, as all of ours but one are */
export function undefinedSymbols(file: Buffer): string[] {
  const [MAGIC, DYNSYM, SECTION, SYMBOL] = ['\x7fELF\x02\x01', 11, 64, 24]
  if (file.toString('latin1', 0, 6) !== MAGIC) throw new Error('not a 64-bit ELF file')
  const at = (position: number) => Number(file.readBigUInt64LE(position))
  const sections = Array.from({ length: file.readUInt16LE(60) }, (_, index) => {
    const header = at(40) + index * SECTION
    const [type, link] = [file.readUInt32LE(header + 4), file.readUInt32LE(header + 40)]
    return { type, link, offset: at(header + 24), size: at(header + 32) }
  })
  const table = sections.find(({ type }) => type === DYNSYM)
  const names = sections[table?.link ?? -1]
  if (!table || !names) throw new Error('an ELF file without dynamic symbols')
  const symbols: string[] = []
  for (let symbol = table.offset; symbol < table.offset + table.size; symbol += SYMBOL) {
    const isUndefined = file.readUInt16LE(symbol + 6) === 0
    const start = names.offset + file.readUInt32LE(symbol)
    const name = file.toString('latin1', start, file.indexOf(0, start))
    if (isUndefined && name !== '') symbols.push(name)
  }
  return symbols
}
