// Makes objects of every kind that depend on each other in every way, forgets them in random order, some halfway through
// a handshake, and goes on using the others, while garbage is collected all the time.

import * as libssl from 'openssl-session/libssl'
import { clientContext, collectGarbage, must, Pair, protocols, Store, serverContext } from '../endpoints.js'
import { Random } from '../random.js'
import { task } from './task.js'

export interface Report {
  readonly uses: number
  readonly before: libssl.LeakReport
  readonly after: libssl.LeakReport
}

const { seed, rounds } = task as unknown as { seed: number; rounds: number }
const random = new Random(seed)

/** Something that is remembered until it is taken out, and that can be used meanwhile. */
interface Thing {
  readonly held: readonly unknown[]
  use(): unknown
}

/** A server and a client whose callbacks refer to their own contexts, which is no reason to live for ever. */
class World {
  readonly protocol = random.pick(protocols)
  readonly ctx = serverContext(task, this.protocol)
  readonly clientCtx = clientContext(this.protocol)
  readonly sessions: libssl.SSL_SESSION[] = []
  readonly store = new Store()

  constructor() {
    const { ctx, clientCtx, sessions } = this
    this.store.serve(ctx, random.pick(['at once', 'by promise']))
    if (random.below(3) === 0) libssl.SSL_CTX_sess_set_get_cb(ctx, () => new Promise(() => ctx))
    if (random.below(2) === 0) libssl.SSL_CTX_set_session_cache_mode(ctx, libssl.SSL_SESS_CACHE_SERVER)
    libssl.SSL_CTX_sess_set_remove_cb(ctx, (removedFrom, session) => {
      libssl.SSL_SESSION_get_id(session)
      if (removedFrom === ctx) libssl.SSL_CTX_sess_number(ctx)
    })
    libssl.SSL_CTX_set_keylog_callback(ctx, () => ctx)
    libssl.SSL_CTX_sess_set_new_cb(clientCtx, (_ssl, session) => {
      if (clientCtx) sessions.push(session)
      return 1
    })
  }
}

const things: Thing[] = []

function remember(thing: Thing): void {
  things.push(thing)
}

function rememberSession(session: libssl.SSL_SESSION | null): void {
  if (session) remember({ held: [session], use: () => libssl.i2d_SSL_SESSION(session) })
}

/** Remembers parts of a connection, each on its own: whatever else of it is forgotten, that part has to stay usable. */
function rememberPartsOf(pair: Pair): void {
  const { client, server } = pair
  const parts: Thing[] = [
    { held: [server], use: () => server.advance() },
    { held: [client.ssl], use: () => libssl.SSL_state_string_long(client.ssl) },
    { held: [server.incoming], use: () => libssl.BIO_ctrl_pending(server.incoming) },
    { held: [pair], use: () => [pair.client.advance(), pair.server.advance(), pair.exchange()] },
  ]
  const ctx = must(libssl.SSL_get_SSL_CTX(server.ssl))
  parts.push({ held: [ctx], use: () => must(libssl.SSL_CTX_get_keylog_callback(ctx)) })
  const certificate = libssl.SSL_get1_peer_certificate(client.ssl)
  if (certificate) parts.push({ held: [certificate], use: () => libssl.i2d_X509(certificate) })
  for (const part of random.shuffle(parts).slice(0, 1 + random.below(parts.length))) remember(part)

  rememberSession(random.below(2) === 0 ? libssl.SSL_get1_session(server.ssl) : null)
  rememberSession(random.below(2) === 0 ? libssl.SSL_get0_session(client.ssl) : null)
  rememberSession(random.below(4) === 0 ? libssl.SSL_get0_session(server.ssl) : null)
}

/** A connection that is left alone at some point of its handshake, or lives on, or is closed or freed. */
async function connect(world: World): Promise<void> {
  const pair = new Pair(world.clientCtx, world.ctx, random.pick([null, ...world.sessions]))
  rememberPartsOf(pair)
  const steps = random.below(8)
  for (let step = 0; step < steps; step++) {
    const states = [pair.client.advance(), pair.server.advance()]
    pair.exchange()
    if (states.includes('asks')) {
      // Of a promise that never settles nobody can wait for the end.
      const answered = pair.server.answered()
      await Promise.race([answered, new Promise((resolve) => setImmediate(resolve))])
    }
  }
  rememberPartsOf(pair)
  const end = random.below(4)
  if (end === 0) pair.close()
  if (end === 1) pair.server.free()
}

/** Uses something; what was borrowed from a connection that is gone may say so, and nothing else. */
function use(thing: Thing): void {
  try {
    thing.use()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_HANDLE_FREED') throw error
  }
  libssl.ERR_clear_error()
}

/** Returns how often something was used. */
async function forgetMany(): Promise<number> {
  let uses = 0
  const worlds = [new World()]
  for (let round = 0; round < rounds; round++) {
    if (random.below(10) === 0) worlds.push(new World())
    const world = random.pick(worlds)
    await connect(world)
    for (const session of world.sessions.splice(2)) {
      if (random.below(2) === 0) libssl.SSL_SESSION_free(session)
      else rememberSession(session)
    }
    if (worlds.length > 3) worlds.splice(random.below(worlds.length), 1)

    random.shuffle(things)
    while (things.length > 100) things.pop()
    things.splice(0, random.below(20))
    for (const thing of things.slice(0, 10)) {
      use(thing)
      uses++
    }
    if (random.below(4) === 0) global.gc?.()
    if (random.below(2) === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  things.length = 0
  return uses
}

const before = libssl.leaks()
const uses = await forgetMany()
await collectGarbage()
console.log(JSON.stringify({ uses, before, after: libssl.leaks() } satisfies Report))
