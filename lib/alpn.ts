// Application protocol names on their way into libssl: the wire form of ALPN, and nothing else.

import { invalidType, invalidValue, outOfRange } from './errors.js'

/** Names, most preferred first; or the wire form: each name after a byte with its length. */
export type ALPNProtocols = readonly (string | Uint8Array)[] | Uint8Array

/** Whether each length is followed by as many bytes, and none is 0. */
function isWellFormed(wire: Uint8Array): boolean {
  let at = 0
  while (at < wire.length && wire[at] !== 0) at += 1 + (wire[at] as number)
  return at === wire.length
}

/**
 * The wire form of a list of protocol names. Throws when it is malformed, or a name is longer than 255 bytes.
 * @see SSL_CTX_set_alpn_protos(3)
 */
export function alpnWire(protocols: ALPNProtocols): Uint8Array {
  if (protocols instanceof Uint8Array) {
    if (!isWellFormed(protocols)) throw invalidValue('ALPNProtocols', 'is malformed')
    return Uint8Array.from(protocols)
  }
  if (!Array.isArray(protocols)) throw invalidType('ALPNProtocols', 'an array or a Buffer', protocols)
  const parts: Uint8Array[] = []
  for (const [index, protocol] of protocols.entries()) {
    const name = typeof protocol === 'string' ? Buffer.from(protocol) : protocol
    if (!(name instanceof Uint8Array)) throw invalidType(`ALPNProtocols[${index}]`, 'a string or a Buffer', name)
    if (name.length === 0 || name.length > 255) {
      throw outOfRange(`ALPNProtocols[${index}]`, 'from 1 to 255 bytes long', name.length)
    }
    parts.push(Uint8Array.of(name.length), name)
  }
  return Buffer.concat(parts)
}
