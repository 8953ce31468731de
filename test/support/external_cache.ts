// The scene of many stories: a server that keeps no sessions itself, and a client that has been there once.

import {
  d2i_SSL_SESSION,
  i2d_SSL_SESSION,
  type SSL_CTX,
  SSL_CTX_sess_set_new_cb,
  SSL_CTX_sess_set_remove_cb,
  SSL_CTX_set_num_tickets,
  SSL_CTX_set_session_cache_mode,
  SSL_SESS_CACHE_NO_INTERNAL,
  SSL_SESS_CACHE_SERVER,
  type SSL_SESSION,
} from 'openssl-session/libssl'
import { clientContext, connect, present, serverContext } from './peers.js'
import { Story, tellCaching } from './story.js'

export interface ExternalCache {
  readonly serverCtx: SSL_CTX
  readonly clientCtx: SSL_CTX
  /** What the server stored. */
  readonly session: SSL_SESSION
  /** What the client has to propose. */
  readonly ticket: SSL_SESSION
}

/** Both sessions are freed when the test ends, unless it has freed them. No callback is set. */
export function externalCache(version: number): ExternalCache {
  const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
  SSL_CTX_set_num_tickets(serverCtx, 1)
  SSL_CTX_set_session_cache_mode(serverCtx, SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_INTERNAL)
  const [sessions, tickets] = [tellCaching(new Story(), serverCtx, 1), tellCaching(new Story(), clientCtx, 1)]
  connect(serverCtx, clientCtx).close()
  for (const ctx of [serverCtx, clientCtx]) {
    SSL_CTX_sess_set_new_cb(ctx, null)
    SSL_CTX_sess_set_remove_cb(ctx, null)
  }
  return { serverCtx, clientCtx, session: present(sessions[0]), ticket: present(tickets[0]) }
}

/** A session as an external cache brings it back: the same in every bit, and another object. Its caller owns it. */
export function restored(session: SSL_SESSION): SSL_SESSION {
  return present(d2i_SSL_SESSION(present(i2d_SSL_SESSION(session))))
}
