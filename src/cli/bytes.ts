const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"]

/** A number of bytes for people, in powers of 1000: `999 B`, `1.5 kB`, `23 MB`. */
export function bytes(count: number): string {
  let value = count
  let unit = 0
  // Rounding must not make 1000 of a unit that has a next one.
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000
    unit += 1
  }
  return `${unit > 0 && value < 9.95 ? value.toFixed(1) : Math.round(value)} ${UNITS[unit]}`
}
