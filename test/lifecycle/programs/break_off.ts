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

/** Every `step`th byte is one to break off at; of damaged ones there are `count`, each time with another `seed`. */
const { mode, seed = 1, count = 0, step = 1 } = task as unknown as Partial<Record<string, number>> & { mode: Mode }
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
  readonly #announced: libssl.SSL_SESSION[] = []
  #session: libssl.SSL_SESSION | null = null
  /** The session and the store as they were after the first handshake, as DER. */
  #kept = { session: Buffer.alloc(0) as Uint8Array, store: new Map<string, Buffer>() }

  constructor(protocol: (typeof protocols)[number], answer: 'at once' | 'by promise') {
    this.ctx = serverContext(task, protocol)
    this.clientCtx = clientContext(protocol)
    this.store.serve(this.ctx, libssl.runtime().asyncJobs ? answer : 'at once')
    libssl.SSL_CTX_set_cert_cb(this.ctx, answer === 'by promise' ? async () => {} : null)
    libssl.SSL_CTX_sess_set_remove_cb(this.ctx, (_ctx, session) => {
      libssl.SSL_SESSION_get_id(session)
    })
    libssl.SSL_CTX_sess_set_new_cb(this.clientCtx, (_ssl, session) => this.#announced.push(session))
  }

  /** Makes the session. */
  async establish(): Promise<void> {
    const pair = new Pair(this.clientCtx, this.ctx)
    if ((await pair.handshake()) !== 'done') throw new Error('a handshake without fault has failed')
    pair.close()
    this.#kept = {
      session: must(libssl.i2d_SSL_SESSION(must(this.#announced[0]))),
      store: new Map(this.store.sessions),
    }
  }

  /** The session, as good as new, and nothing else in the store. What was given out before is freed. */
  renewSession(): libssl.SSL_SESSION {
    this.#forget()
    for (const [id, der] of this.#kept.store) this.store.sessions.set(id, der)
    this.#session = must(libssl.d2i_SSL_SESSION(this.#kept.session))
    return this.#session
  }

  #forget(): void {
    this.store.sessions.clear()
    if (this.#session) libssl.SSL_SESSION_free(this.#session)
    this.#session = null
    for (const session of this.#announced.splice(0)) libssl.SSL_SESSION_free(session)
  }

  free(): void {
    this.#forget()
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
      // Now and then nobody is there to go on with it.
      if (random.below(8) === 0) return 'left with a question'
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

/** How many bytes both ends send each other until they are done. */
async function length(setting: Setting, resumes: boolean): Promise<number> {
  const pair = new Pair(setting.clientCtx, setting.ctx, resumes ? setting.renewSession() : null)
  let bytes = 0
  const count = (passed: Buffer) => {
    bytes += passed.length
    return passed
  }
  let outcome: string
  do outcome = await converse(pair, count)
  while (outcome === 'left with a question')
  if (outcome !== 'done' || pair.server.reused() !== resumes)
    throw new Error(`${outcome} is not what was to be measured`)
  pair.free()
  return bytes
}

/** Frees a connection, sometimes before its last words have been carried over. */
function free(pair: Pair): void {
  pair.client.shutdown()
  pair.server.shutdown()
  if (random.below(2) === 0) pair.exchange()
  pair.free()
}

/** Breaks off after every byte of a handshake. */
async function breakOffEverywhere(setting: Setting, resumes: boolean): Promise<void> {
  // The lengths of signatures differ by a few bytes.
  const end = (await length(setting, resumes)) + 16
  for (let limit = 0; limit < end; limit += step) {
    const pair = new Pair(setting.clientCtx, setting.ctx, resumes ? setting.renewSession() : null)
    note(await converse(pair, cutOff(limit)))
    if (mode === 'free') {
      free(pair)
      continue
    }
    clear(pair)
    note(`again: ${await pair.handshake()}`)
    pair.close()
  }
}

async function damageBytes(setting: Setting, number: number): Promise<void> {
  const pair = new Pair(setting.clientCtx, setting.ctx, number % 2 === 0 ? setting.renewSession() : null)
  const first = random.below(3)
  let flight = 0
  note(await converse(pair, (bytes) => (bytes.length > 0 && flight++ >= first ? damage(bytes, 1) : bytes)))
  free(pair)
}

async function damageSessions(setting: Setting): Promise<void> {
  const session = setting.renewSession()
  for (const [id, der] of setting.store.sessions) setting.store.sessions.set(id, damage(der, 1 + random.below(3)))
  const pair = new Pair(setting.clientCtx, setting.ctx, session)
  note(await pair.handshake())
  free(pair)
}

const before = libssl.leaks()
const settings = protocols.flatMap((protocol) =>
  (['at once', 'by promise'] as const).map((answer) => new Setting(protocol, answer)),
)
for (const setting of settings) {
  await setting.establish()
  for (let number = 0; number < count; number++) {
    if (mode === 'damage bytes') await damageBytes(setting, number)
    if (mode === 'damage sessions') await damageSessions(setting)
  }
  if (mode === 'free' || mode === 'clear') {
    for (const resumes of [false, true]) await breakOffEverywhere(setting, resumes)
  }
  setting.free()
}
libssl.ERR_clear_error()
console.log(JSON.stringify({ outcomes, before, after: libssl.leaks() } satisfies Report))
