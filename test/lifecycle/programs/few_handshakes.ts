// A few handshakes of every kind: full and resumed, both protocols, answered at once and by promise. A worker thread
// makes them by itself.

import { parentPort } from 'node:worker_threads'
import * as libssl from 'openssl-session/libssl'
import { clientContext, must, Pair, protocols, Store, serverContext } from '../endpoints.js'
import { task } from './task.js'

/** Makes handshakes, each resumed once after it. Frees everything. Returns what came of each resumption. */
export async function makeHandshakes(count: number): Promise<string[]> {
  const results: string[] = []
  for (let number = 0; number < count; number++) {
    const protocol = protocols[number % 2] as (typeof protocols)[number]
    const ctx = serverContext(task, protocol)
    const clientCtx = clientContext(protocol)
    new Store().serve(ctx, number % 4 < 2 ? 'at once' : 'by promise')
    const sessions: libssl.SSL_SESSION[] = []
    libssl.SSL_CTX_sess_set_new_cb(clientCtx, (_ssl, session) => sessions.push(session))

    const first = new Pair(clientCtx, ctx)
    await first.handshake()
    first.close()
    const second = new Pair(clientCtx, ctx, must(sessions[0]))
    const state = await second.handshake()
    results.push(`${protocol} ${state} ${second.server.reused() ? 'reused' : 'full'}`)
    second.close()

    for (const session of sessions) libssl.SSL_SESSION_free(session)
    libssl.SSL_CTX_free(ctx)
    libssl.SSL_CTX_free(clientCtx)
  }
  return results
}

if (parentPort) {
  parentPort.postMessage(await makeHandshakes(task.handshakes as number))
  if (task.stay) setInterval(() => {}, 1000)
}
