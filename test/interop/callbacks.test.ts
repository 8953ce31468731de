// The session callbacks of the libssl layer with a foreign peer: the openssl program as client and as server, over real
// sockets. That sessions resume across files and layers is in resumption.test.ts.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, connect as dial, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import {
  type GetSessionCallback,
  type SSL_CTX,
  SSL_CTX_sess_number,
  SSL_CTX_sess_set_get_cb,
  SSL_CTX_set_num_tickets,
  SSL_CTX_set_session_cache_mode,
  SSL_free,
  SSL_get0_session,
  SSL_SESS_CACHE_NO_INTERNAL,
  SSL_SESS_CACHE_SERVER,
  type SSL_SESSION,
  SSL_SESSION_get_id,
  SSL_SESSION_is_resumable,
  SSL_session_reused,
  SSL_set_session,
  SSL_shutdown,
  SSL_write,
  TLS1_2_VERSION,
} from 'openssl-session/libssl'
import { leaveNothingBehind } from '../support/accounts.js'
import { credentials } from '../support/credentials.js'
import { clientContext, endpoint, inEachProtocol, present, sent, serverContext } from '../support/peers.js'
import { openSession, Program, resumesSession, versionFlag } from '../support/programs.js'
import { Story, tellCaching } from '../support/story.js'
import { atLeast } from '../support/versions.js'
import { carry } from '../support/wire.js'

const nameOf = (version: number) => (version === TLS1_2_VERSION ? 'TLSv1.2' : 'TLSv1.3')

describe('The session callbacks', () => {
  leaveNothingBehind()

  inEachProtocol((version) => {
    describe('of a server, with openssl s_client', () => {
      let server: Server | undefined
      afterEach(() => server?.close())

      /** Serves each connection to its clean end. Returns the port, and the connections that have come to that. */
      async function serve(ctx: SSL_CTX): Promise<{ port: number; served: Promise<void>[] }> {
        const served: Promise<void>[] = []
        server = createServer((socket: Socket) => {
          const ssl = endpoint(ctx, 'server')
          served.push(carry(ssl, socket).finally(() => SSL_free(ssl)))
        })
        await once(server.listen(0, '127.0.0.1'), 'listening')
        const address = server.address()
        assert.ok(typeof address === 'object' && address !== null)
        return { port: address.port, served }
      }

      for (const [how, answering] of Object.entries({
        'at once': (found: SSL_SESSION | null) => found,
        'by a promise': async (found: SSL_SESSION | null) => {
          await new Promise((resolve) => setTimeout(resolve, 5))
          return found
        },
      })) {
        it(`resume from an external cache that answers ${how}`, async () => {
          const ctx = serverContext(version)
          SSL_CTX_set_num_tickets(ctx, 1)
          SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_INTERNAL)
          const story = new Story()
          const sessions = tellCaching(story, ctx, 1)
          const find: GetSessionCallback = (ssl, id) => {
            story.tell('get', ssl, id)
            return answering(sessions.find((session) => SSL_SESSION_get_id(session).equals(id)) ?? null)
          }
          SSL_CTX_sess_set_get_cb(ctx, find)
          const { port, served } = await serve(ctx)
          const file = join(credentials().folder, 'callbacks.pem')
          await openSession(port, nameOf(version), file)
          await Promise.all(served)
          story.expect('new ssl1 session1')
          assert.equal(await resumesSession(port, nameOf(version), file), true)
          await Promise.all(served)
          story.expect('get ssl2 id(session1)', ...(version === TLS1_2_VERSION ? [] : ['new ssl2 session2']))
          assert.equal(SSL_CTX_sess_number(ctx), 0)
        })
      }
    })

    describe('of a client, with openssl s_server', () => {
      let program: Program | undefined
      afterEach(() => program?.destroy())

      it('bring sessions that resume', async () => {
        const { certFile, keyFile } = credentials()
        program = new Program(
          's_server',
          '-accept',
          '0',
          '-cert',
          certFile,
          '-key',
          keyFile,
          versionFlag(nameOf(version)),
          '-rev',
        )
        const [, port] = await program.prints(/ACCEPT \S*:(\d+)/)
        const ctx = clientContext()
        const story = new Story().call({ ctx })
        const sessions = tellCaching(story, ctx, 1)
        /** Says hello, hears it reversed, says goodbye. Returns whether the session was resumed. */
        const visit = async (session: SSL_SESSION | null): Promise<boolean> => {
          const socket = dial(Number(port), '127.0.0.1')
          const ssl = endpoint(ctx, 'client')
          if (session !== null) SSL_set_session(ssl, session)
          let answer = ''
          const ended = carry(ssl, socket, {
            opened: () => {
              SSL_write(ssl, Buffer.from('hello\nCLOSE\n'))
              socket.write(sent(ssl))
            },
            heard: (text) => {
              answer += text
            },
          })
          // The program of 1.1.1 just hangs up.
          await (atLeast(3, 0) ? ended : assert.rejects(ended, /without a goodbye/))
          assert.equal(answer, 'olleh\n')
          const reused = SSL_session_reused(ssl) === 1
          SSL_shutdown(ssl)
          assert.equal(SSL_SESSION_is_resumable(present(SSL_get0_session(ssl))), 1)
          SSL_free(ssl)
          return reused
        }
        assert.equal(await visit(null), false)
        const [first, second] = sessions
        story.expect('new ssl1 session1', ...(version === TLS1_2_VERSION ? [] : ['new ssl1 session2']))
        assert.equal(await visit(present(second ?? first)), true)
        story.expect(...(version === TLS1_2_VERSION ? [] : ['remove ctx session2', 'new ssl2 session3']))
      })
    })
  })
})
