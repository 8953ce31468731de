// How a session is sealed: keys, and the bytes that a sealed session consists of. Which keys there are, and where sealed
// sessions are kept, is in sealed.ts.
//
//   version (1) | key id (8) | expiry (8) | nonce (12) | ciphertext | tag (16)
//
// The expiry is in milliseconds since 1970, big-endian. Additional data, which a thief of the store can change as little as
// the session: version, key id and expiry as they are, then id and id context, each after its length in one byte.

import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'
import { isUint8Array } from 'node:util/types'
import { storeError, wrongType } from './input.js'

const VERSION = 1
const HEADER = 17
const NONCE = 12
const TAG = 16
const CIPHER = 'aes-256-gcm'

/** Bytes of a key. */
export const KEY_LENGTH = 32

/** A key that seals and opens. What encrypts is derived from the secret, and so is what names the key. @see RFC 5869 */
export class SealingKey {
  /** What tells the key from others, in hexadecimal: not secret, and the same wherever the same secret is. */
  readonly id: string
  readonly #key: Buffer

  /** Throws `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_KEYLEN`; the secret is not shown. */
  constructor(secret: unknown) {
    if (!isUint8Array(secret)) throw wrongType('key', 'a Buffer', typeof secret)
    if (secret.length !== KEY_LENGTH) {
      throw storeError('ERR_INVALID_KEYLEN', `A sealing key has ${KEY_LENGTH} bytes, not ${secret.length}`)
    }
    const derived = (what: string, length: number): Buffer =>
      Buffer.from(hkdfSync('sha256', secret, '', `openssl-session seal ${VERSION} ${what}`, length))
    this.#key = derived('key', KEY_LENGTH)
    this.id = derived('id', 8).toString('hex')
  }

  /** @param expires Milliseconds since 1970. */
  seal(session: Uint8Array, id: Uint8Array, context: Uint8Array, expires: number): Buffer {
    const header = Buffer.alloc(HEADER)
    header[0] = VERSION
    header.write(this.id, 1, 'hex')
    header.writeBigUInt64BE(BigInt(expires), 9)
    const nonce = randomBytes(NONCE)
    const cipher = createCipheriv(CIPHER, this.#key, nonce, { authTagLength: TAG })
    cipher.setAAD(additional(header, id, context))
    return Buffer.concat([header, nonce, cipher.update(session), cipher.final(), cipher.getAuthTag()])
  }

  /** The session, or null when a bit of it, its header, its id or its context is not what was sealed. */
  open(sealed: Uint8Array, id: Uint8Array, context: Uint8Array): Buffer | null {
    const header = sealed.subarray(0, HEADER)
    const nonce = sealed.subarray(HEADER, HEADER + NONCE)
    const decipher = createDecipheriv(CIPHER, this.#key, nonce, { authTagLength: TAG })
    decipher.setAAD(additional(header, id, context))
    decipher.setAuthTag(sealed.subarray(-TAG))
    const session = decipher.update(sealed.subarray(HEADER + NONCE, -TAG))
    try {
      decipher.final()
      return session
    } catch {
      return null
    }
  }
}

/** What a sealed session says of itself, which is not to be believed before it has been opened; null when it is none. */
export function readHeader(sealed: Uint8Array): { keyId: string; expires: number } | null {
  if (sealed.length < HEADER + NONCE + TAG || sealed[0] !== VERSION) return null
  const header = Buffer.from(sealed.buffer, sealed.byteOffset, HEADER)
  return { keyId: header.toString('hex', 1, 9), expires: Number(header.readBigUInt64BE(9)) }
}

function additional(header: Uint8Array, id: Uint8Array, context: Uint8Array): Buffer {
  return Buffer.concat([header, Buffer.of(id.length), id, Buffer.of(context.length), context])
}
