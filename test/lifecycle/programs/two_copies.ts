// Two copies of the addon in one process, side by side.

import { constants } from 'node:os'
import * as libssl from 'openssl-session/libssl'
import { clientContext, type Libssl, must, Pair, protocols, Store, serverContext } from '../endpoints.js'
import { task } from './task.js'

export interface Report {
  /** What each copy's handshakes came to: full, then resumed. */
  readonly handshakes: readonly string[]
  /** What a function of one copy says to a handle of the other. */
  readonly strangers: readonly string[]
  readonly live: readonly object[]
}

function load(file: string): Libssl {
  const { RTLD_NOW, RTLD_DEEPBIND } = constants.dlopen
  const sanitized = /lib[at]san/.test(process.env.LD_PRELOAD ?? '')
  const copy = { exports: {} as Libssl }
  process.dlopen(copy, file, (RTLD_NOW ?? 0) | (sanitized ? 0 : (RTLD_DEEPBIND ?? 0)))
  return copy.exports
}

/** A server and a client of one copy, whose callbacks are in use. */
class Side {
  readonly contexts: libssl.SSL_CTX[] = []
  readonly sessions: libssl.SSL_SESSION[] = []
  readonly connections: Pair[] = []

  constructor(readonly libssl: Libssl) {}

  *handshakes(): Generator<Promise<string>> {
    for (const protocol of protocols) {
      const ctx = serverContext(task, protocol, this.libssl)
      const clientCtx = clientContext(protocol, this.libssl)
      new Store(this.libssl).serve(ctx, 'by promise')
      this.libssl.SSL_CTX_sess_set_new_cb(clientCtx, (_ssl, session) => this.sessions.push(session))
      this.contexts.push(ctx, clientCtx)
      yield this.handshake(clientCtx, ctx, null)
      yield this.handshake(clientCtx, ctx, must(this.sessions.at(-1)))
    }
  }

  async handshake(clientCtx: libssl.SSL_CTX, ctx: libssl.SSL_CTX, session: libssl.SSL_SESSION | null): Promise<string> {
    const pair = new Pair(clientCtx, ctx, session, this.libssl)
    this.connections.push(pair)
    const state = await pair.handshake()
    return `${state} ${pair.server.reused() ? 'reused' : 'full'}`
  }

  free(): void {
    for (const pair of this.connections) pair.close()
    for (const session of this.sessions) this.libssl.SSL_SESSION_free(session)
    for (const ctx of this.contexts) this.libssl.SSL_CTX_free(ctx)
  }
}

function attempt(use: () => unknown): string {
  try {
    return `returned ${typeof use()}`
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error)
  }
}

const [ours, other] = [new Side(libssl), new Side(load(task.copy as string))]
const handshakes: string[] = []
// In turns, so that each has objects and callbacks while the other works.
const [left, right] = [ours.handshakes(), other.handshakes()]
for (;;) {
  const [a, b] = [left.next(), right.next()]
  if (a.done || b.done) break
  handshakes.push(...(await Promise.all([a.value, b.value])))
}

const ctx = must(other.contexts[0])
const pair = must(other.connections[0])
const session = must(other.sessions[0])
const strangers = [
  () => libssl.SSL_new(ctx),
  () => libssl.SSL_CTX_sess_set_new_cb(ctx, () => 1),
  () => libssl.SSL_CTX_add_session(must(ours.contexts[0]), session),
  () => libssl.SSL_read(pair.client.ssl, Buffer.alloc(10)),
  () => libssl.SSL_SESSION_free(session),
  () => libssl.SSL_free(pair.client.ssl),
].map(attempt)

ours.free()
other.free()
const live = [ours.libssl.leaks().live, other.libssl.leaks().live]
console.log(JSON.stringify({ handshakes, strangers, live } satisfies Report))
