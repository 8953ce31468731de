// Endless work around one callback: what a thread or a process does when it is ended in the middle of it.

import { setTimeout as delay } from 'node:timers/promises'
import * as libssl from 'openssl-session/libssl'
import { clientContext, type Identity, must, Pair, type Protocol, Store, serverContext } from '../endpoints.js'

export const callbacks = ['new', 'remove', 'get', 'keylog', 'cert'] as const
export type CallbackName = (typeof callbacks)[number]

/** What a thread can be in the middle of. */
export const states = [
  'handshakes paused on promises that never settle',
  'an answer that has come and was not fetched',
  ...callbacks.map((name) => `inside the ${name} callback` as const),
  'inside a callback made by the event loop, others waiting',
  'handshakes being done',
] as const
export type State = (typeof states)[number]

/** Objects of every kind and in every state, referred to from here for as long as the thread lives. */
const alive: unknown[] = []

/** Handshakes that wait for a promise that never settles: one for a session, one for certificates. */
export async function pausedHandshakes(identity: Identity, protocol: Protocol): Promise<void> {
  const { ctx, clientCtx, session } = await established(identity, protocol)
  libssl.SSL_CTX_set_cert_cb(ctx, () => new Promise(() => {}))
  libssl.SSL_CTX_sess_set_get_cb(ctx, null)
  await pause(new Pair(clientCtx, ctx))
  if (!libssl.runtime().asyncJobs) return
  libssl.SSL_CTX_sess_set_get_cb(ctx, () => new Promise(() => {}))
  await pause(new Pair(clientCtx, ctx, session))
}

async function pause(pair: Pair): Promise<void> {
  if ((await pair.handshake({ stopAtQuestion: true })) !== 'asks') throw new Error('the handshake has not paused')
  alive.push(pair, pair.server.answered())
}

/** A handshake whose answer has come, but that nobody has called again. */
export async function answeredHandshake(identity: Identity, protocol: Protocol): Promise<void> {
  const { ctx, clientCtx, store, session } = await established(identity, protocol)
  if (libssl.runtime().asyncJobs) store.serve(ctx, 'by promise')
  libssl.SSL_CTX_set_cert_cb(ctx, async () => {})
  const pair = new Pair(clientCtx, ctx, libssl.runtime().asyncJobs ? session : null)
  await pause(pair)
  await pair.server.answered()
}

/** A server, a client, and a session that the server would resume. */
export async function established(identity: Identity, protocol: Protocol) {
  const ctx = serverContext(identity, protocol)
  const clientCtx = clientContext(protocol)
  const store = new Store()
  store.serve(ctx, 'at once')
  const sessions: libssl.SSL_SESSION[] = []
  libssl.SSL_CTX_sess_set_new_cb(clientCtx, (_ssl, session) => {
    sessions.push(session)
    return 1
  })
  const pair = new Pair(clientCtx, ctx)
  if ((await pair.handshake()) !== 'done') throw new Error('the handshake has failed')
  pair.close()
  const session = must(sessions.pop())
  for (const other of sessions) libssl.SSL_SESSION_free(other)
  libssl.SSL_CTX_sess_set_new_cb(clientCtx, null)
  alive.push(ctx, clientCtx, store, session)
  return { ctx, clientCtx, store, session }
}

/** Makes `name` be called, on a server with everything else under way, and `act` in it. Does not end before that. */
export async function actInside(
  name: CallbackName,
  identity: Identity,
  protocol: Protocol,
  act: () => void,
): Promise<void> {
  await pausedHandshakes(identity, protocol)
  await answeredHandshake(identity, protocol)
  const { ctx, clientCtx, session } = await established(identity, protocol)
  // A resumed handshake makes no new session in TLS 1.2, and asks for no certificate.
  libssl.SSL_CTX_sess_set_get_cb(ctx, () => null)
  switch (name) {
    case 'new':
      libssl.SSL_CTX_sess_set_new_cb(ctx, act)
      break
    case 'get':
      libssl.SSL_CTX_sess_set_get_cb(ctx, () => {
        act()
        return null
      })
      break
    case 'keylog':
      libssl.SSL_CTX_set_keylog_callback(ctx, act)
      break
    case 'cert':
      libssl.SSL_CTX_set_cert_cb(ctx, act)
      break
    case 'remove':
      return removeMany(ctx, session, act)
  }
  await new Pair(clientCtx, ctx, session).handshake()
}

/** Empties a cache of many sessions: while the callback runs for the first, the others wait for theirs. */
function removeMany(ctx: libssl.SSL_CTX, session: libssl.SSL_SESSION, act: () => void): void {
  libssl.SSL_CTX_set_session_cache_mode(ctx, libssl.SSL_SESS_CACHE_SERVER | libssl.SSL_SESS_CACHE_NO_AUTO_CLEAR)
  for (let number = 0; number < 50; number++) {
    const copy = must(libssl.SSL_SESSION_dup(session))
    libssl.SSL_SESSION_set1_id(copy, Buffer.from([number, 1, 2, 3]))
    if (libssl.SSL_CTX_add_session(ctx, copy) !== 1) throw new Error('the session was not added')
    libssl.SSL_SESSION_free(copy)
  }
  libssl.SSL_CTX_sess_set_remove_cb(ctx, act)
  libssl.SSL_CTX_flush_sessions(ctx, Date.now())
}

/** Acts in a callback that the event loop makes, because the one before it threw; more are waiting behind it. */
export async function actInsideFromLoop(identity: Identity, protocol: Protocol, act: () => void): Promise<void> {
  const { ctx, session } = await established(identity, protocol)
  let calls = 0
  try {
    removeMany(ctx, session, () => {
      if (calls++ === 0) throw new Error('the first')
      act()
    })
  } catch {
    // Thrown above.
  }
  while (calls < 2) await delay(1)
}

/** Handshakes without end, full and resumed, answered at once and by promise, on both protocols. */
export async function workForEver(identity: Identity): Promise<never> {
  const lanes = (['TLSv1.2', 'TLSv1.3'] as const).map(async (protocol) => {
    const { ctx, clientCtx, store, session } = await established(identity, protocol)
    for (let round = 0; ; round++) {
      store.serve(ctx, round % 2 === 0 || !libssl.runtime().asyncJobs ? 'at once' : 'by promise')
      const pair = new Pair(clientCtx, ctx, round % 3 === 0 ? null : session)
      if ((await pair.handshake()) !== 'done') throw new Error('a handshake has failed')
      pair.close()
      await new Promise((resolve) => setImmediate(resolve))
    }
  })
  return (await Promise.race(lanes)) as never
}
