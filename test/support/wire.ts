// A connection of the libssl layer over a real socket: bytes in, bytes out, and a pause where a callback wants one.

import type { Socket } from 'node:net'
import {
  ERR_clear_error,
  type SSL,
  SSL_do_handshake,
  SSL_ERROR_WANT_ASYNC,
  SSL_ERROR_WANT_READ,
  SSL_ERROR_WANT_X509_LOOKUP,
  SSL_ERROR_ZERO_RETURN,
  SSL_get_error,
  SSL_read,
  SSL_shutdown,
  SSL_waiting_session,
} from 'openssl-session/libssl'
import { arrive, lastReason, sent } from './peers.js'

/** What happens on the way. */
export interface Carried {
  /** The handshake is complete. */
  opened?(): void
  /** Text has come. */
  heard?(text: string): void
}

/**
 * Carries a connection that was made by endpoint() over a socket. Resolves when the peer has said goodbye and so have
 * we; rejects when the connection fails.
 */
export async function carry(ssl: SSL, socket: Socket, told: Carried = {}): Promise<void> {
  const buffer = Buffer.alloc(16384)
  let open = false
  /** Does what can be done with the bytes at hand. False when the connection is over. */
  const proceed = async (): Promise<boolean> => {
    for (;;) {
      ERR_clear_error()
      const result = open ? SSL_read(ssl, buffer) : SSL_do_handshake(ssl)
      const error = SSL_get_error(ssl, result)
      const reason = lastReason()
      socket.write(sent(ssl))
      if (result > 0) {
        if (open) told.heard?.(buffer.toString('latin1', 0, result))
        else told.opened?.()
        open = true
      } else if (error === SSL_ERROR_WANT_ASYNC || error === SSL_ERROR_WANT_X509_LOOKUP) {
        await SSL_waiting_session(ssl)
      } else if (error === SSL_ERROR_ZERO_RETURN) {
        SSL_shutdown(ssl)
        socket.end(sent(ssl))
        return false
      } else if (error === SSL_ERROR_WANT_READ) {
        return true
      } else {
        throw new Error(`SSL_get_error says ${error}: ${reason}`)
      }
    }
  }
  await proceed()
  for await (const bytes of socket) {
    arrive(ssl, bytes)
    if (!(await proceed())) return
  }
  throw new Error('the peer closed the socket without a goodbye')
}
