// Plain text on its way through libssl: how much is read and written at once, and the buffers for that.

/** How much plain text is encrypted at once; also how much is read at once. Four full records. */
export const batch = 64 * 1024
/** The largest plain text of one record. */
export const record = 16 * 1024

// Plain text is read into this and copied out when it is little; a connection that fills it keeps it. Null while in
// use: a callback of the application can make another connection read in the middle of this one's reading.
let scratch: Buffer | null = null

/** A buffer for one batch, to be given back or taken from. */
export function borrowScratch(): Buffer {
  const buffer = scratch ?? Buffer.allocUnsafeSlow(batch)
  scratch = null
  return buffer
}

export function giveScratchBack(buffer: Buffer): void {
  scratch = buffer
}

/** What has been read into a borrowed buffer: the buffer itself when it is well filled, else a copy. */
export function takeFromScratch(buffer: Buffer, length: number): Buffer {
  if (length > batch / 2) return buffer.subarray(0, length)
  const copy = Buffer.from(buffer.subarray(0, length))
  scratch = buffer
  return copy
}

/** Small chunks together, large ones in pieces: what OpenSSL gets at once fills records and does not pile up encrypted. */
export function batches(chunks: readonly Uint8Array[]): Uint8Array[] {
  const result: Uint8Array[] = []
  let small: Uint8Array[] = []
  let size = 0
  const close = (): void => {
    if (small.length > 0) result.push(small.length === 1 ? (small[0] as Uint8Array) : Buffer.concat(small, size))
    small = []
    size = 0
  }
  for (const chunk of chunks) {
    if (chunk.length >= record) {
      close()
      for (let at = 0; at < chunk.length; at += batch) result.push(chunk.subarray(at, at + batch))
    } else if (chunk.length > 0) {
      if (size + chunk.length > batch) close()
      small.push(chunk)
      size += chunk.length
    }
  }
  close()
  return result
}
