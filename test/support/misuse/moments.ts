// Calls one function at the moments when a connection is least ready for it: inside each callback of a handshake, and
// while the handshake waits for a callback's answer. Then the handshake goes on as well as it can.

import * as libssl from 'openssl-session/libssl'
import type { ExportedFunction } from '../libssl_api.js'
import { thorough } from '../thorough.js'
import { type Calls, tolerated } from './calls.js'
import { type Conversation, present, relay, type Specimens } from './specimens.js'

/** The handles that a callback was given, by class. */
type Given = Readonly<Record<string, unknown>>

interface Moment {
  readonly label: string
  /** Installs the callback, before there are connections. */
  prepare(context: libssl.SSL_CTX, act: (given: Given) => void): void
  /** Brings the moment about when no handshake does. */
  provoke?(conversation: Conversation): void
  /** Ends the wait. */
  answer?(): void
}

function moments(): Moment[] {
  let settle: (() => void) | undefined
  const answer = () => settle?.()
  const waiting = () =>
    new Promise<undefined>((resolve) => {
      settle = () => resolve(undefined)
    })
  return [
    {
      label: 'inside the new callback',
      prepare: (context, act) =>
        libssl.SSL_CTX_sess_set_new_cb(context, (SSL, SSL_SESSION) => act({ SSL, SSL_SESSION, SSL_CTX: context })),
    },
    {
      label: 'inside the remove callback',
      prepare: (context, act) =>
        libssl.SSL_CTX_sess_set_remove_cb(context, (SSL_CTX, SSL_SESSION) => act({ SSL_CTX, SSL_SESSION })),
      provoke: ({ context }) => libssl.SSL_CTX_flush_sessions(context, 0),
    },
    {
      label: 'inside the get callback',
      prepare: (context, act) =>
        libssl.SSL_CTX_sess_set_get_cb(context, (SSL) => {
          act({ SSL, SSL_CTX: context })
          return null
        }),
    },
    {
      label: 'inside the key log callback',
      prepare: (context, act) => libssl.SSL_CTX_set_keylog_callback(context, (SSL) => act({ SSL, SSL_CTX: context })),
    },
    {
      label: 'inside the cert callback',
      prepare: (context, act) => libssl.SSL_CTX_set_cert_cb(context, (SSL) => act({ SSL, SSL_CTX: context })),
    },
    {
      label: 'while the get callback is awaited',
      prepare: (context, act) => {
        libssl.SSL_CTX_sess_set_get_cb(context, (SSL) => {
          queueMicrotask(() => act({ SSL, SSL_CTX: context }))
          return waiting()
        })
      },
      answer,
    },
    {
      label: 'while the cert callback is awaited',
      prepare: (context, act) => {
        libssl.SSL_CTX_set_cert_cb(context, (SSL) => {
          queueMicrotask(() => act({ SSL, SSL_CTX: context }))
          return waiting()
        })
      },
      answer,
    },
  ]
}

export async function misuseMoments(f: ExportedFunction, calls: Calls, specimens: Specimens): Promise<void> {
  if (!f.parameters.some(({ types }) => types.some((type) => /^SSL(_CTX|_SESSION)?$/.test(type)))) return
  let place = 0
  for (const version of [libssl.TLS1_2_VERSION, libssl.TLS1_3_VERSION]) {
    for (const moment of moments()) {
      // When time is short, each moment in one of the versions.
      if (place++ % 2 === 1 && !thorough) continue
      const label = `${moment.label}, ${version === libssl.TLS1_2_VERSION ? 'TLS 1.2' : 'TLS 1.3'}`
      let acted = false
      const act = (given: Given) => {
        // The call itself may fire the callback again.
        if (acted) return
        acted = true
        const known: Given = { SSL: conversation.server, ...given }
        const instead = f.parameters.map(({ types }, index) => [index, known[types[0] ?? '']] as const)
        const args = specimens.ordinary(f.parameters, Object.fromEntries(instead.filter(([, handle]) => handle)))
        calls.attempt(f, label, args, tolerated)
        calls.announce(`the handshake after ${f.name}(${label})`)
      }
      const conversation = specimens.conversation(version, (context) => moment.prepare(context, act))
      calls.announce(`the handshake before ${f.name}(${label})`)
      await converse(conversation, moment, calls)
      if (!acted) calls.complain('never came to its moment')
    }
  }
}

async function converse(conversation: Conversation, moment: Moment, calls: Calls): Promise<void> {
  const { client, server } = conversation
  for (let flight = 0; flight < 4; flight++) {
    calls.guard(() => libssl.SSL_do_handshake(client))
    calls.guard(() => relay(client, server))
    calls.guard(() => libssl.SSL_do_handshake(server))
    // Microtasks: what acts while an answer is awaited.
    await null
    moment.answer?.()
    await null
    calls.guard(() => libssl.SSL_do_handshake(server))
    calls.guard(() => relay(server, client))
  }
  calls.guard(() => libssl.SSL_read(client, new Uint8Array(16)))
  calls.guard(() => libssl.SSL_write(server, Buffer.from('after the handshake')))
  calls.guard(() => moment.provoke?.(conversation))
  calls.guard(() => libssl.SSL_shutdown(server))
  calls.guard(() => present(libssl.SSL_get0_session(client)))
  libssl.ERR_clear_error()
}
