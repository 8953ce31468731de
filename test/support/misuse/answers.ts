// Callbacks that answer nonsense: a connection may be told of it by an error with a code, and then goes on as if the
// callback had answered nothing.

import * as libssl from 'openssl-session/libssl'
import type { ExportedFunction } from '../libssl_api.js'
import { thorough } from '../thorough.js'
import type { Calls } from './calls.js'
import { type Conversation, relay, type Specimens } from './specimens.js'
import { anything, numbers, type Specimen, SpecimenError } from './values.js'

type Install = (context: libssl.SSL_CTX, answer: (ssl: unknown, id: unknown, copy: unknown) => unknown) => void

// The types of callbacks forbid what is tried here.
const installers: Readonly<Record<string, Install>> = {
  SSL_CTX_sess_set_new_cb: libssl.SSL_CTX_sess_set_new_cb as unknown as Install,
  SSL_CTX_sess_set_remove_cb: libssl.SSL_CTX_sess_set_remove_cb as unknown as Install,
  SSL_CTX_sess_set_get_cb: libssl.SSL_CTX_sess_set_get_cb as unknown as Install,
  SSL_CTX_set_cert_cb: libssl.SSL_CTX_set_cert_cb as unknown as Install,
  SSL_CTX_set_keylog_callback: libssl.SSL_CTX_set_keylog_callback as unknown as Install,
}

export async function misuseAnswers(f: ExportedFunction, calls: Calls, specimens: Specimens): Promise<void> {
  const install = installers[f.name]
  if (!install) return
  let place = 0
  for (const version of [libssl.TLS1_2_VERSION, libssl.TLS1_3_VERSION]) {
    for (const { label, make } of [
      ...answers(specimens, version),
      ...wrapped(specimens, version),
      ...copyFlags(f, specimens, version),
    ]) {
      // When time is short, each answer in one of the versions.
      if (place++ % 2 === 1 && !thorough) continue
      calls.announce(`a handshake whose callback, set by ${f.name}, answers ${label}`)
      const conversation = specimens.conversation(version, (context) =>
        install(context, (ssl, _, copy) => {
          const value = make()
          return typeof value === 'function' && value.name === 'answer' ? value(ssl, copy) : value
        }),
      )
      await finish(conversation, calls)
      const { client, server } = conversation
      const done = calls.guard(() => libssl.SSL_is_init_finished(server) + libssl.SSL_is_init_finished(client))
      // Only a certificate callback can fail a handshake by what it answers.
      if (done !== undefined && done !== 2 && f.name !== 'SSL_CTX_set_cert_cb') calls.complain('did not complete')
    }
  }
}

/** Runs a handshake to its end and frees the cache, however often it is interrupted. */
async function finish({ context, client, server }: Conversation, calls: Calls): Promise<void> {
  for (let flight = 0; flight < 5; flight++) {
    calls.guard(() => libssl.SSL_do_handshake(client))
    calls.guard(() => relay(client, server))
    // Twice: once to ask, once with the answer; and once more when that threw.
    for (let attempt = 0; attempt < 3; attempt++) {
      calls.guard(() => libssl.SSL_do_handshake(server))
      await new Promise((resolve) => setImmediate(resolve))
    }
    calls.guard(() => relay(server, client))
  }
  calls.guard(() => libssl.SSL_CTX_flush_sessions(context, 0))
  libssl.ERR_clear_error()
}

/** Values to answer with. */
function answers(specimens: Specimens, version: number): Specimen[] {
  return [
    ...anything(),
    ...numbers().integers,
    ...numbers().others,
    ...specimens.sessions(version),
    ...specimens.dead('SSL_SESSION'),
    ...specimens.impostors('SSL_SESSION'),
    ...specimens.foreigners('SSL_SESSION'),
  ]
}

/** The same, and others, in promises and in what pretends to be promises. */
function wrapped(specimens: Specimens, version: number): Specimen[] {
  type Then = (resolve: (value: unknown) => void, reject: (value: unknown) => void) => void
  const thenable = (label: string, then: Then) => ({
    label: `a thenable that ${label}`,
    make: () => Object.defineProperty({}, 'then', { value: then }),
  })
  const harm = (): never => {
    throw new SpecimenError('thrown by a thenable')
  }
  return [
    ...answers(specimens, version).map(({ label, make }) => ({
      label: `a promise of ${label}`,
      make: async () => make(),
    })),
    { label: 'a promise that is rejected', make: async () => harm() },
    thenable('calls back at once', (resolve) => resolve(null)),
    thenable('calls back twice', (resolve) => {
      resolve(null)
      resolve(specimens.sessions(version)[0]?.make())
    }),
    thenable('calls back and takes it back', (resolve, reject) => {
      setImmediate(() => {
        resolve(undefined)
        reject(new SpecimenError('too late'))
      })
    }),
    thenable('throws', harm),
    thenable('calls back and throws', (resolve) => {
      resolve(null)
      harm()
    }),
    { label: 'an object whose then cannot be read', make: () => Object.defineProperty({}, 'then', { get: harm }) },
  ]
}

/** A good session, and a `copy.value` that is none, or that does harm when it is looked at. */
function copyFlags(f: ExportedFunction, specimens: Specimens, version: number): Specimen[] {
  if (f.name !== 'SSL_CTX_sess_set_get_cb') return []
  const doing = (result: number, deed: (session: libssl.SSL_SESSION, ssl: libssl.SSL) => void): CopyFlag => {
    return (session, ssl) => ({
      valueOf() {
        deed(session, ssl)
        return result
      },
    })
  }
  const values: Readonly<Record<string, CopyFlag>> = {
    '0': () => 0,
    '1': () => 1,
    '2': () => 2,
    NaN: () => Number.NaN,
    undefined: () => undefined,
    'a symbol': () => Symbol('copy'),
    'a bigint': () => 1n,
    'an object': () => ({}),
    'an object that frees the session and says 1': doing(1, (session) => libssl.SSL_SESSION_free(session)),
    'an object that frees the session and says 0': doing(0, (session) => libssl.SSL_SESSION_free(session)),
    'an object that frees the connection': doing(1, (_, ssl) => libssl.SSL_free(ssl)),
  }
  return Object.entries(values).flatMap(([label, value]) =>
    [false, true].map((later) => ({
      label: `a session${later ? ', by promise,' : ''} with copy.value set to ${label}`,
      make: () =>
        function answer(ssl: libssl.SSL, copy: { value: unknown }) {
          const session = specimens.sessions(version)[0]?.make() as libssl.SSL_SESSION
          copy.value = value(session, ssl)
          return later ? Promise.resolve(session) : session
        },
    })),
  )
}

type CopyFlag = (session: libssl.SSL_SESSION, ssl: libssl.SSL) => unknown
