// Contexts while the engine's threads work with them: what can be asked, what cannot be changed, and what can be replaced
// without losing a handshake.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import {
  createSecureContext,
  createServer,
  leaks,
  type SecureContext,
  type Server,
  type ServerOptions,
} from 'openssl-session'
import * as libssl from 'openssl-session/libssl'
import { certs } from '../support/certs.js'
import { times } from '../support/thorough.js'
import { closeAll, closed, dialledNode, until } from '../support/tls.js'
import type { Report, Wave } from './programs/clients.js'
import { killAll, Program } from './programs.js'

type Functions = Record<string, (ctx: libssl.SSL_CTX, ...args: unknown[]) => unknown>
const functions = libssl as unknown as Functions

/** Functions whose names say that they change a context, and that OpenSSL lets be called while other threads use it. */
const always = new Set([
  // Their trampolines are installed before; what changes is on our side.
  'SSL_CTX_sess_set_new_cb',
  'SSL_CTX_sess_set_remove_cb',
  'SSL_CTX_sess_set_get_cb',
  'SSL_CTX_set_keylog_callback',
  'SSL_CTX_set_cert_cb',
  // They take the lock of the context.
  'SSL_CTX_add_session',
])

/** Arguments that each function would accept. */
const key = (): libssl.EVP_PKEY => pem(certs().server.key, (bio) => libssl.PEM_read_bio_PrivateKey(bio, null))
const certificate = (): libssl.X509 => pem(certs().server.cert, (bio) => libssl.PEM_read_bio_X509(bio))
const texts: Record<string, () => unknown[]> = {
  SSL_CTX_use_certificate: () => [certificate()],
  SSL_CTX_use_PrivateKey: () => [key()],
  SSL_CTX_add1_chain_cert: () => [certificate()],
  SSL_CTX_add_client_CA: () => [certificate()],
  SSL_CTX_use_certificate_file: () => [certs().server.certFile, libssl.SSL_FILETYPE_PEM],
  SSL_CTX_use_certificate_chain_file: () => [certs().server.chainFile],
  SSL_CTX_use_PrivateKey_file: () => [certs().server.keyFile, libssl.SSL_FILETYPE_PEM],
  SSL_CTX_load_verify_locations: () => [certs().root.certFile, null],
  SSL_CTX_set_cipher_list: () => ['DEFAULT'],
  SSL_CTX_set_ciphersuites: () => ['TLS_AES_128_GCM_SHA256'],
  SSL_CTX_set1_groups_list: () => ['P-256'],
  SSL_CTX_set1_sigalgs_list: () => ['ECDSA+SHA256'],
  SSL_CTX_set_alpn_protos: () => [Buffer.from('\x02h2')],
  SSL_CTX_set_alpn_select_protos: () => [Buffer.from('\x02h2')],
  SSL_CTX_set_session_id_context: () => [Buffer.from('other')],
  SSL_CTX_set_tlsext_ticket_keys: () => [Buffer.alloc(80, 1)],
  SSL_CTX_set_min_proto_version: () => [libssl.TLS1_2_VERSION],
  SSL_CTX_set_max_proto_version: () => [libssl.TLS1_3_VERSION],
  SSL_CTX_set_default_verify_paths: () => [],
  SSL_CTX_clear_chain_certs: () => [],
  SSL_CTX_set_timeout: () => [300],
}

function pem<T>(text: string, read: (bio: libssl.BIO) => T | null): T {
  const bio = libssl.BIO_new_mem_buf(Buffer.from(text)) as libssl.BIO
  const result = read(bio)
  libssl.BIO_free(bio)
  return result ?? assert.fail('the text cannot be read')
}

const names = Object.keys(libssl).filter((name) => typeof functions[name] === 'function')
const setters = names.filter(
  (name) => /^SSL_CTX_(set\d?_|use_|add\d?_|clear_|load_|sess_set_)/.test(name) && !always.has(name),
)
const getters = names.filter((name) => /^SSL_CTX_(get\d?_|sess_get_)|^SSL_CTX_sess_(?!set_|get_)/.test(name))

describe('Contexts under the engine', () => {
  const many = times(2000, 150)
  const some = times(500, 80)
  let server: Server
  let port: number
  let failures: Error[]
  /** Those of names, and those that were replaced. */
  const contexts: SecureContext[] = []

  async function start(options: ServerOptions = {}): Promise<void> {
    const { chain, key } = certs().server
    failures = []
    server = createServer({ cert: chain, key, threads: 2, ...options }, (socket) => {
      socket.on('error', () => {})
      socket.pipe(socket)
    })
    server.on('tlsClientError', (error) => failures.push(error))
    server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 })
    await once(server, 'listening')
    port = (server.address() as AddressInfo).port
  }

  async function stop(): Promise<void> {
    const ended = once(server, 'close')
    server.close()
    server.closeAllConnections()
    await ended
    // Other tests count what is alive.
    for (const context of contexts.splice(0)) context.free()
    server.secureContext.free()
  }

  /** Keeps clients coming and calls `meanwhile` over and over until they are through. */
  async function load(what: Omit<Wave, 'port'>, meanwhile: () => unknown): Promise<Report> {
    const program = new Program('clients')
    let done = false
    const report = program.ask<Report>(`run ${JSON.stringify({ port, atOnce: 32, ...what })}`).finally(() => {
      done = true
    })
    while (!done) {
      await meanwhile()
      await setImmediate()
    }
    return report
  }

  afterEach(async () => {
    killAll()
    await closeAll()
  })

  describe('that are in use', () => {
    let ctx: libssl.SSL_CTX
    const change = (name: string): unknown => functions[name]?.(ctx, ...(texts[name]?.() ?? [1]))

    before(async () => {
      await start()
      ctx = server.secureContext.handle
    })
    after(stop)

    it('are those of which there are many setters and getters', () => {
      assert.ok(setters.length >= 30, `${setters.length} setters`)
      assert.ok(getters.length >= 20, `${getters.length} getters`)
    })

    for (const name of setters) {
      it(`refuse ${name}`, () => {
        assert.throws(() => change(name), { code: 'ERR_CONTEXT_IN_USE' })
      })
    }

    for (const name of getters) {
      it(`answer ${name}`, () => {
        functions[name]?.(ctx)
      })
    }

    it('let the session cache be used and callbacks be changed', async () => {
      const context = server.secureContext
      const sessions: number[] = []
      context.newSessionCallback = (_socket, session) => {
        sessions.push(context.addSession(session) ? 1 : 0)
        assert.equal(context.removeSession(session), true)
        session.free()
      }
      context.removeSessionCallback = (_context, session) => session.free()
      context.getSessionCallback = () => null
      const socket = await dialledNode(port, { maxVersion: 'TLSv1.3' })
      await until(() => sessions.length > 0)
      context.flushSessions(0)
      assert.equal(context.sessionStats().accept > 0, true)
      context.newSessionCallback = null
      context.removeSessionCallback = null
      context.getSessionCallback = null
      assert.equal(context.newSessionCallback, null)
      socket.resume().end()
      await closed(socket)
    })
  })

  it('allow every change as long as nothing uses them', () => {
    for (const name of setters) {
      const ctx = libssl.SSL_CTX_new(libssl.TLS_server_method()) ?? assert.fail('no context')
      if (name === 'SSL_CTX_use_PrivateKey' || name === 'SSL_CTX_add1_chain_cert')
        libssl.SSL_CTX_use_certificate_file(ctx, certs().server.certFile, libssl.SSL_FILETYPE_PEM)
      functions[name]?.(ctx, ...(texts[name]?.() ?? [1]))
      libssl.SSL_CTX_free(ctx)
    }
  })

  it('can be changed again when nothing uses them any more', async () => {
    await start()
    const context = server.secureContext
    assert.throws(
      () => {
        context.sessionTimeout = 77
      },
      { code: 'ERR_CONTEXT_IN_USE' },
    )
    const socket = await dialledNode(port)
    server.close()
    // The connection lives, and with it the use of the context.
    assert.throws(() => libssl.SSL_CTX_set_timeout(context.handle, 77), { code: 'ERR_CONTEXT_IN_USE' })
    socket.resume().end()
    await Promise.all([closed(socket), once(server, 'close')])
    await until(() => {
      try {
        context.sessionTimeout = 77
        return true
      } catch {
        return false
      }
    })
    assert.equal(context.sessionTimeout, 77)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    port = (server.address() as AddressInfo).port
    const other = await dialledNode(port)
    other.destroy()
    await stop()
  })

  it('can be asked anything while many handshakes are done', async () => {
    await start()
    const ctx = server.secureContext.handle
    let calls = 0
    const report = await load({ count: many }, () => {
      for (const name of getters) functions[name]?.(ctx)
      calls += getters.length
    })
    assert.deepEqual([report.full, report.failed, report.errors], [many, 0, []])
    assert.ok(calls > 1000)
    assert.equal(server.secureContext.sessionStats().acceptGood, many)
    assert.deepEqual(failures, [])
    await stop()
  })

  it('can be replaced without a failed handshake, and go when their last connection does', async () => {
    await start()
    const before = leaks().live.SSL_CTX
    const living = await dialledNode(port)
    const { chain, key } = certs().server
    let swaps = 0
    const report = await load({ count: some }, () => {
      server.secureContext.free()
      server.setSecureContext({ cert: chain, key })
      swaps++
    })
    assert.deepEqual([report.full + report.resumed, report.failed, report.errors], [some, 0, []])
    assert.ok(swaps > 10, `${swaps} contexts`)
    assert.deepEqual(failures, [])
    living.write('still here')
    assert.equal(String((await once(living, 'data'))[0]), 'still here')
    // The one of the connection that lives, and the last one.
    await until(() => leaks().live.SSL_CTX <= before + 1)
    living.resume().end()
    await closed(living)
    await until(() => leaks().live.SSL_CTX <= before)
    await stop()
  })

  it('can be added by name while handshakes are done', async () => {
    const { a, wildcard } = certs()
    await start()
    let added = 0
    const report = await load({ count: some, servernames: ['localhost', 'localhost'] }, () => {
      if (added++ >= 50) return
      const context = createSecureContext({ cert: wildcard.chain, key: wildcard.key })
      contexts.push(context)
      server.addContext(`n${added}.example.com`, context)
    })
    assert.deepEqual([report.full, report.failed, report.errors], [some, 0, []])
    const context = createSecureContext({ cert: a.chain, key: a.key })
    contexts.push(context)
    server.addContext('a.example.com', context)
    const socket = await dialledNode(port, { servername: 'a.example.com' })
    assert.equal(socket.getPeerCertificate().subject.CN, 'a.example.com')
    socket.destroy()
    await stop()
  })

  it('can be chosen by a callback that takes its time, many at once', async () => {
    const { a, server: own } = certs()
    const named = new Map([
      ['a.example.com', createSecureContext({ cert: a.chain, key: a.key })],
      ['localhost', createSecureContext({ cert: own.chain, key: own.key })],
    ])
    contexts.push(...named.values())
    let asking = 0
    let most = 0
    await start({
      SNICallback: (name, callback) => {
        most = Math.max(most, ++asking)
        setTimeout(() => {
          asking--
          callback(null, named.get(name) ?? null)
        }, 20)
      },
    })
    const report = await load({ count: some, servernames: ['a.example.com', 'localhost'] }, () => {})
    assert.deepEqual([report.full, report.failed, report.errors], [some, 0, []])
    assert.ok(most > 8, `${most} at once`)
    assert.deepEqual(failures, [])
    await stop()
  })

  it('take other ticket keys while the server listens, with which its old tickets are worth nothing and the old keys restore them', async () => {
    await start()
    const keys = server.getTicketKeys()
    const program = new Program('clients')
    const session = await program.ask(`session ${port} TLSv1.3`)
    const resume = (): Promise<Report> =>
      program.ask<Report>(`run ${JSON.stringify({ port, session, count: 2, version: 'TLSv1.3' })}`)
    assert.equal((await resume()).resumed, 2)
    const context = server.secureContext
    server.setTicketKeys(Buffer.alloc(80, 7))
    assert.deepEqual(server.getTicketKeys(), Buffer.alloc(80, 7))
    assert.equal(server.secureContext, context)
    assert.equal((await resume()).full, 2)
    server.setTicketKeys(keys)
    assert.equal((await resume()).resumed, 2)
    let turns = 0
    const report = await load({ count: some, version: 'TLSv1.3' }, () => {
      if (turns++ < 100) server.setTicketKeys(turns % 2 === 0 ? keys : Buffer.alloc(80, turns))
    })
    assert.deepEqual([report.full, report.failed, report.errors], [some, 0, []])
    assert.throws(() => server.setTicketKeys(Buffer.alloc(3)))
    assert.equal((await resume()).failed, 0)
    await stop()
  })
})
