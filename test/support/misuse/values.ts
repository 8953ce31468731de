// Values that are no handles and that C, or the binding, might stumble over. Each call makes new ones.

/** Makes one value, and says what it is. */
export interface Specimen {
  readonly label: string
  make(): unknown
}

export function specimen(label: string, make: () => unknown): Specimen {
  return { label, make }
}

/** What the specimens throw when they are called or looked into: errors that are not the binding's own. */
export class SpecimenError extends Error {}

export function harm(): never {
  throw new SpecimenError('thrown by a specimen')
}

const huge = new Uint8Array(64 * 1024 * 1024)
const long = 'a'.repeat(4 * 1024 * 1024)

/** Numbers at and beyond the edges of C's types, and those that are no integers. */
export function numbers(): { integers: Specimen[]; others: Specimen[] } {
  const integers = [-1, -0, 2 ** 31 - 1, 2 ** 31, -(2 ** 31), -(2 ** 31) - 1, 2 ** 32, 2 ** 53 - 1, -(2 ** 53) + 1]
  const others = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0.5, -1.5, 2 ** 53, 1e300, 5e-324]
  const named = (values: number[]) => values.map((value) => specimen(`${value}`, () => value))
  return { integers: named(integers), others: named(others) }
}

/** Strings that C might stumble over. */
export function strings(): { withNul: Specimen[]; others: Specimen[] } {
  return {
    withNul: ['\0', 'localhost\0.example', 'a\0'].map((text) => specimen(JSON.stringify(text), () => text)),
    others: [
      specimen('an empty string', () => ''),
      specimen('a string of 4 MiB', () => long),
      specimen('a string of 4 MiB, in pieces', () => `${long.slice(1)}${Math.random()}`),
      specimen('half a surrogate pair', () => '\ud800'),
      specimen('letters beyond ASCII', () => 'bücher.example/日本語/🔑'),
      specimen('format directives', () => '%s%n%p%x'),
      specimen('only separators', () => ':::,,,///'),
    ],
  }
}

/** Byte arrays that C might stumble over. */
export function byteArrays(): Specimen[] {
  return [
    specimen('an empty array', () => new Uint8Array(0)),
    specimen('an array of 64 MiB', () => huge),
    specimen('a detached array', () => {
      const array = new Uint8Array(32)
      structuredClone(array.buffer, { transfer: [array.buffer] })
      return array
    }),
    specimen('an array out of the bounds of its shrunken memory', () => {
      const memory = new (ArrayBuffer as unknown as ResizableConstructor)(64, { maxByteLength: 128 })
      const array = new Uint8Array(memory, 32, 32)
      memory.resize(16)
      return array
    }),
    specimen('an array over shared memory', () => new Uint8Array(new SharedArrayBuffer(32))),
    specimen('a part of a larger array', () => new Uint8Array(64).subarray(7, 8)),
    specimen('255 times 255', () => new Uint8Array(255).fill(255)),
    specimen('33 bytes', () => new Uint8Array(33)),
    specimen('80 bytes', () => new Uint8Array(80)),
    specimen('DER that promises 4 GiB', () => Buffer.from('3084ffffffff', 'hex')),
  ]
}

/** What is no Uint8Array, but looks like one. */
export function otherArrays(): Specimen[] {
  return [
    specimen('an Int8Array', () => new Int8Array(8)),
    specimen('a Uint16Array', () => new Uint16Array(8)),
    specimen('a Uint8ClampedArray', () => new Uint8ClampedArray(8)),
    specimen('a BigUint64Array', () => new BigUint64Array(8)),
    specimen('a DataView', () => new DataView(new ArrayBuffer(8))),
    specimen('an ArrayBuffer', () => new ArrayBuffer(8)),
    specimen('an array of numbers', () => [1, 2, 3]),
    specimen('a proxy of a Uint8Array', () => new Proxy(new Uint8Array(8), {})),
  ]
}

/** One value of each kind of JavaScript, and objects that pretend. `typeof` tells the primitive ones apart. */
export function anything(): Specimen[] {
  return [
    specimen('undefined', () => undefined),
    specimen('null', () => null),
    specimen('true', () => true),
    specimen('7', () => 7),
    specimen('7n', () => 7n),
    specimen('a string', () => 'text'),
    specimen('a symbol', () => Symbol('symbol')),
    specimen('an object', () => ({})),
    specimen('an object without prototype', () => Object.create(null)),
    specimen('an array', () => []),
    specimen('a date', () => new Date()),
    specimen('a function', () => () => undefined),
    specimen('a class', () => class {}),
    specimen('a promise', () => Promise.resolve()),
    specimen('a Uint8Array', () => new Uint8Array(8)),
    specimen('an object whose conversions throw', () => ({
      valueOf: harm,
      toString: harm,
      get length() {
        return harm()
      },
    })),
    specimen('a proxy whose traps throw', () => {
      return new Proxy(
        {},
        { get: harm, has: harm, getPrototypeOf: harm, ownKeys: harm, getOwnPropertyDescriptor: harm },
      )
    }),
  ]
}

interface ResizableConstructor {
  new (length: number, options: { maxByteLength: number }): ArrayBuffer & { resize(length: number): void }
}
