// Sessions that resume across implementations and files: our clients and servers of the tls layer against `openssl s_client` and
// `openssl s_server`. That s_client resumes with resumeSession listeners and with a session store is shown in test/tls:
// "resume a session of openssl s_client", "resumes clients of node:tls and of the openssl program".

import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type ConnectionOptions, Session } from 'openssl-session'
import { SSL_OP_NO_TICKET, SSL_SESS_CACHE_SERVER } from 'openssl-session/libssl'
import { certs } from '../support/certs.js'
import { credentials, openssl } from '../support/credentials.js'
import { openSession, Program, resumesSession, versionFlag } from '../support/programs.js'
import {
  afterTest,
  closeAll,
  describeInEachHome,
  dial,
  dialled,
  exchange,
  failure,
  hangUp,
  inEachVersion,
  only,
  serve,
  sessionOf,
  type Version,
} from '../support/tls.js'

// s_client has been told of no root, and its verdict on the server is part of its sessions.
const untrusted = { rejectUnauthorized: false }

const path = (name: string): string => join(credentials().folder, name)

/** Starts s_server, which sends each line back reversed. Returns its port. */
async function serveOpenSSL(version: Version, ...args: string[]): Promise<number> {
  const { server } = certs()
  const keys = ['-cert', server.certFile, '-cert_chain', server.chainFile, '-key', server.keyFile]
  const program = afterTest(new Program('s_server', '-accept', '0', ...keys, versionFlag(version), '-rev', ...args))
  const [, port] = await program.prints(/ACCEPT \S*:(\d+)/)
  return Number(port)
}

/** The session of a connection of ours that has come to a clean end. */
async function opened(port: number): Promise<Buffer> {
  const client = await dialled(port)
  assert.equal(client.isSessionReused(), false)
  const session = await sessionOf(client)
  assert.equal(await exchange(client, 'x\n'), 'x\n')
  await hangUp(client)
  return session
}

/** Whether a connection of ours resumes a session; data must pass in any case. */
async function resumes(port: number, session: Buffer | Session, options: ConnectionOptions = {}): Promise<boolean> {
  const client = await dialled(port, { ...options, session })
  assert.equal(await exchange(client, 'x\n'), 'x\n')
  const reused = client.isSessionReused()
  await hangUp(client)
  return reused
}

/** The same session in PEM and DER, as Sessions made from either. */
function fromFile(file: string): Session[] {
  const der = openssl('sess_id', '-in', file, '-outform', 'DER')
  return [Session.fromPEM(readFileSync(file)), Session.fromDER(der)]
}

// Tickets that hold the session, and ids or tickets that only name it.
const kinds = [
  ['a stateless ticket', 0, []],
  ['a server-side cache', SSL_OP_NO_TICKET, ['-no_ticket']],
] as const

describeInEachHome('Resumption with the openssl program', () => {
  afterEach(closeAll)

  inEachVersion((version) => {
    for (const [kind, secureOptions, flags] of kinds) {
      describe(`by ${kind}`, () => {
        const options = { ...only(version), secureOptions, sessionCacheMode: SSL_SESS_CACHE_SERVER }

        it('works from our server to s_client, through the file that -sess_out writes and -sess_in reads', async () => {
          const { port } = await serve(options)
          const file = path('s_client.pem')
          await openSession(port, version, file)
          assert.equal(await resumesSession(port, version, file), true)
        })

        it('works with a session that our client opened and s_client reads', async () => {
          const { port } = await serve(options)
          using session = Session.fromDER(await opened(port))
          const file = path('ours.pem')
          writeFileSync(file, session.toPEM())
          assert.equal(await resumesSession(port, version, file), true)
        })

        it('works with a session that s_client opened and our client reads, from PEM and from DER', async () => {
          const { port } = await serve(options)
          const file = path('theirs.pem')
          for (const form of [0, 1]) {
            // A fresh one for each: a TLS 1.3 session is meant for one use.
            await openSession(port, version, file)
            const sessions = fromFile(file)
            assert.equal(await resumes(port, sessions[form] as Session, untrusted), true)
            for (const session of sessions) session.free()
          }
        })

        it('works from s_server to our client', async () => {
          const port = await serveOpenSSL(version, ...flags)
          assert.equal(await resumes(port, await opened(port)), true)
        })

        it('works with s_server for a session that s_client opened and our client reads, and the other way round', async () => {
          const port = await serveOpenSSL(version, ...flags)
          const file = path('third.pem')
          await openSession(port, version, file)
          const [session, twin] = fromFile(file) as [Session, Session]
          assert.equal(await resumes(port, session, untrusted), true)
          session.free()
          twin.free()
          using ours = Session.fromDER(await opened(port))
          writeFileSync(file, ours.toPEM())
          assert.equal(await resumesSession(port, version, file), true)
        })
      })
    }

    it('does not hide that s_client has not verified the server: our client refuses', async () => {
      const { port } = await serve(only(version))
      const file = path('untrusted.pem')
      await openSession(port, version, file)
      using session = Session.fromPEM(readFileSync(file))
      assert.equal((await failure(dial(port, { session }))).code, 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY')
    })

    it('does not come about with a server that does not know the session: the handshake is full, on either side', async () => {
      const [{ port: one }, { port: two }] = [await serve(only(version)), await serve(only(version))]
      const file = path('stranger.pem')
      await openSession(one, version, file)
      assert.equal(await resumesSession(two, version, file), false)
      const [theirs, others] = [await serveOpenSSL(version), await serveOpenSSL(version)]
      assert.equal(await resumes(others, await opened(theirs)), false)
    })
  })
})
