// Handshakes that end too early, at each point where they can: the other side's bytes stop coming, and the connection
// is freed, or cleared and used again. And handshakes whose bytes, or whose stored sessions, have been damaged.

import * as libssl from 'openssl-session/libssl'
import { clientContext, must, Pair, protocols, Store, serverContext } from '../endpoints.js'
import { Random } from '../random.js'
import { task } from './task.js'

export interface Report {
  /** How often each end was seen. */
  readonly outcomes: Readonly<Record<string, number>>
  readonly before: libssl.LeakReport
  readonly after: libssl.LeakReport
}

type Mode = 'free' | 'clear' | 'damage bytes' | 'damage sessions'

const { mode, seed, count } = task as unknown as { mode: Mode; seed: number; count: number }
const random = new Random(seed)
const outcomes: Record<string, number> = {}
const note = (outcome: string) => {
  outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
}

/** Everything that a handshake needs, with a session to resume. */
class Setting {
  readonly ctx: libssl.SSL_CTX
  readonly clientCtx: libssl.SSL_CTX
  readonly store = new Store()
  readonly sessions: libssl.SSL_SESSION[] = []

  constructor(
    readonly protocol: (typeof protocols)[number],
    readonly answer: 'at once' | 'by promise',
  ) {
    this.ctx = serverContext(task, protocol)
    this.clientCtx = clientContext(protocol)
    this.store.serve(this.ctx, libssl.runtime().asyncJobs ? answer : 'at once')
    libssl.SSL_CTX_set_cert_cb(this.ctx, answer === 'by promise' ? async () => {} : null)
    libssl.SSL_CTX_sess_set_remove_cb(this.ctx, (_ctx, session) => {
      libssl.SSL_SESSION_get_id(session)
    })
    libssl.SSL_CTX_sess_set_new_cb(this.clientCtx, (_ssl, session) => this.sessions.push(session))
  }

  /** Makes a session that can be resumed, in place of those there were. */
  async renewSession(): Promise<libssl.SSL_SESSION> {
    this.forgetSessions()
    const pair = new Pair(this.clientCtx, this.ctx)
    if ((await pair.handshake()) !== 'done') throw new Error('a handshake without fault has failed')
    pair.close()
    return must(this.sessions[0])
  }

  forgetSessions(): void {
    this.store.sessions.clear()
    for (const session of this.sessions.splice(0)) libssl.SSL_SESSION_free(session)
  }

  free(): void {
    this.forgetSessions()
    libssl.SSL_CTX_free(this.ctx)
    libssl.SSL_CTX_free(this.clientCtx)
  }
}

/** Carries bytes from one end to the other, through `change`, until neither has any more to say. */
async function converse(pair: Pair, change: (bytes: Buffer) => Buffer): Promise<string> {
  for (;;) {
    const states = [pair.client.advance(), pair.server.advance()]
    const [fromClient, fromServer] = [pair.client.take(), pair.server.take()]
    pair.server.give(change(fromClient))
    pair.client.give(change(fromServer))
    if (states.includes('failed')) return 'failed'
    if (states.includes('asks')) {
      // Every other time nobody is there to go on with it.
      if (random.below(2) === 0) return 'left with a question'
      await pair.server.answered()
    } else if (fromClient.length + fromServer.length === 0) {
      return states.includes('starved') ? 'starved' : 'done'
    }
  }
}

/** Lets only the first `limit` bytes through. */
function cutOff(limit: number): (bytes: Buffer) => Buffer {
  let left = limit
  return (bytes) => {
    const passed = bytes.subarray(0, left)
    left -= passed.length
    return passed
  }
}

function damage(bytes: Buffer, times: number): Buffer {
  const damaged = Buffer.from(bytes)
  for (let time = 0; time < times && damaged.length > 0; time++) {
    const at = random.below(damaged.length)
    damaged[at] = random.pick([0, 1, 0x7f, 0x80, 0xff, random.below(256), (damaged[at] ?? 0) ^ (1 << random.below(8))])
  }
  return damaged
}

/** Makes an end ready for another connection, as SSL_clear(3) says. */
function clear(pair: Pair): void {
  for (const { ssl, incoming, outgoing } of [pair.client, pair.server]) {
    if (libssl.SSL_clear(ssl) !== 1) throw new Error('SSL_clear has failed')
    for (const bio of [incoming, outgoing]) libssl.BIO_reset(bio)
  }
}

async function breakOff(setting: Setting, number: number): Promise<void> {
  const session = await setting.renewSession()
  const resumes = number % 2 === 0
  if (mode === 'damage sessions') {
    for (const [id, der] of setting.store.sessions) setting.store.sessions.set(id, damage(der, 1 + random.below(3)))
  }
  const pair = new Pair(setting.clientCtx, setting.ctx, resumes || mode === 'damage sessions' ? session : null)
  if (mode === 'damage sessions') note(await pair.handshake())
  else if (mode === 'damage bytes') {
    const first = random.below(3)
    let flight = 0
    note(await converse(pair, (bytes) => (bytes.length > 0 && flight++ >= first ? damage(bytes, 1) : bytes)))
  } else {
    // A full handshake takes about 1700 bytes, a resumed one half of that.
    const limit = resumes ? number % 1024 : number % 2048
    note(await converse(pair, cutOff(limit)))
    if (mode === 'clear') {
      clear(pair)
      note(`again: ${await pair.handshake()}`)
      pair.close()
      return
    }
  }
  pair.client.shutdown()
  pair.server.shutdown()
  if (random.below(2) === 0) pair.exchange()
  pair.free()
}

const before = libssl.leaks()
const settings = protocols.flatMap((protocol) =>
  (['at once', 'by promise'] as const).map((answer) => new Setting(protocol, answer)),
)
for (let number = 0; number < count; number++) {
  for (const setting of settings) await breakOff(setting, number)
}
for (const setting of settings) setting.free()
libssl.ERR_clear_error()
console.log(JSON.stringify({ outcomes, before, after: libssl.leaks() } satisfies Report))
