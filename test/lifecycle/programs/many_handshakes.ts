// Thousands of handshakes, every second one resuming the session of the one before it. Reports what is alive after
// each part, and how much memory that takes.

import * as libssl from 'openssl-session/libssl'
import { clientContext, collectGarbage, Pair, protocols, Store, serverContext } from '../endpoints.js'
import { task } from './task.js'

export interface Sample {
  readonly leaks: libssl.LeakReport
  /** Bytes, after the garbage has been collected. */
  readonly resident: number
  readonly heap: number
}

export interface Report {
  readonly handshakes: { readonly full: number; readonly resumed: number }
  /** The first one is taken after a part that does not count, which warms everything up. */
  readonly samples: readonly Sample[]
}

const { warmUp, parts, handshakesPerPart } = task as unknown as {
  /** Handshakes that do not count. */
  warmUp: number
  parts: number
  handshakesPerPart: number
}

/** The ways in which sessions are kept and found: in each, half of the handshakes are resumed. */
const ways = protocols.flatMap((protocol) =>
  (['at once', 'by promise', 'from the internal cache'] as const).map((answer) => ({ protocol, answer })),
)
const lanes = ways.map(({ protocol, answer }) => {
  const ctx = serverContext(task, protocol)
  const clientCtx = clientContext(protocol)
  const sessions: libssl.SSL_SESSION[] = []
  const store = new Store()
  if (answer === 'from the internal cache') {
    libssl.SSL_CTX_set_session_cache_mode(ctx, libssl.SSL_SESS_CACHE_SERVER)
    libssl.SSL_CTX_sess_set_cache_size(ctx, 4)
    libssl.SSL_CTX_sess_set_new_cb(ctx, () => false)
  } else {
    store.serve(ctx, libssl.runtime().asyncJobs ? answer : 'at once')
  }
  libssl.SSL_CTX_sess_set_remove_cb(ctx, (_ctx, session) => {
    libssl.SSL_SESSION_up_ref(session)
    libssl.SSL_SESSION_free(session)
  })
  libssl.SSL_CTX_set_keylog_callback(ctx, () => {})
  libssl.SSL_CTX_set_cert_cb(ctx, answer === 'by promise' ? async () => true : () => {})
  libssl.SSL_CTX_sess_set_new_cb(clientCtx, (_ssl, session) => sessions.push(session))
  return { ctx, clientCtx, sessions, store }
})

const handshakes = { full: 0, resumed: 0 }

/** One full handshake, and one that resumes it. */
async function twoHandshakes({ ctx, clientCtx, sessions, store }: (typeof lanes)[number]): Promise<void> {
  for (let number = 0; number < 2; number++) {
    const pair = new Pair(clientCtx, ctx, number === 0 ? null : (sessions[0] ?? null))
    if ((await pair.handshake()) !== 'done') throw new Error('a handshake has failed')
    handshakes[pair.server.reused() ? 'resumed' : 'full']++
    pair.server.write(Buffer.from('hello'))
    pair.exchange()
    if (pair.client.read().toString() !== 'hello') throw new Error('nothing to read')
    pair.close()
  }
  store.sessions.clear()
  for (const session of sessions.splice(0)) libssl.SSL_SESSION_free(session)
}

async function part(count: number): Promise<Sample> {
  for (let done = 0; done < count; done += 2 * lanes.length) {
    for (const lane of lanes) await twoHandshakes(lane)
  }
  await collectGarbage()
  const { rss, heapUsed } = process.memoryUsage()
  return { leaks: libssl.leaks(), resident: rss, heap: heapUsed }
}

await part(warmUp)
handshakes.full = 0
handshakes.resumed = 0
const samples: Sample[] = [await part(handshakesPerPart)]
while (samples.length <= parts) samples.push(await part(handshakesPerPart))
console.log(JSON.stringify({ handshakes, samples } satisfies Report))
