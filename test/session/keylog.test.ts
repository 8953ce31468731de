// The key log callback: which lines it gets, on which connection, in which order.

import assert from 'node:assert/strict'
import {
  type SSL,
  SSL_CTX_free,
  SSL_CTX_sess_set_get_cb,
  SSL_CTX_sess_set_new_cb,
  SSL_CTX_set_keylog_callback,
  SSL_free,
  SSL_get0_session,
  SSL_SESSION_get_master_key,
  TLS1_2_VERSION,
  TLS1_3_VERSION,
} from 'openssl-session/libssl'
import { leaveNothingBehind } from '../support/accounts.js'
import { externalCache } from '../support/external_cache.js'
import { clientContext, connect, inEachProtocol, Pair, present, serverContext } from '../support/peers.js'

/** Connects and collects the lines of either side. */
function logged(version: number): { pair: Pair; server: string[]; client: string[] } {
  const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
  const pair = new Pair(serverCtx, clientCtx)
  const lines = { server: [] as string[], client: [] as string[] }
  const collect = (expected: SSL, to: string[]) => (ssl: SSL, line: string) => {
    assert.equal(ssl, expected)
    to.push(line)
  }
  SSL_CTX_set_keylog_callback(serverCtx, collect(pair.server, lines.server))
  SSL_CTX_set_keylog_callback(clientCtx, collect(pair.client, lines.client))
  pair.handshake()
  return { pair, ...lines }
}

const labels = (lines: string[]) => lines.map((line) => line.slice(0, line.indexOf(' ')))

describe('The key log callback', () => {
  leaveNothingBehind()

  it('gets one line in TLS 1.2, with the client random and the master secret, the same on either side', () => {
    const { pair, server, client } = logged(TLS1_2_VERSION)
    assert.deepEqual(server, client)
    assert.equal(server.length, 1)
    const secret = SSL_SESSION_get_master_key(present(SSL_get0_session(pair.server))).toString('hex')
    assert.match(present(server[0]).toLowerCase(), new RegExp(`^client_random [0-9a-f]{64} ${secret}$`))
  })

  it('gets the five secrets of TLS 1.3, the same on either side', () => {
    const { server, client } = logged(TLS1_3_VERSION)
    assert.deepEqual([...server].sort(), [...client].sort())
    assert.deepEqual(labels(server).sort(), [
      'CLIENT_HANDSHAKE_TRAFFIC_SECRET',
      'CLIENT_TRAFFIC_SECRET_0',
      'EXPORTER_SECRET',
      'SERVER_HANDSHAKE_TRAFFIC_SECRET',
      'SERVER_TRAFFIC_SECRET_0',
    ])
    for (const line of server) assert.match(line, /^[A-Z0-9_]+ [0-9a-f]{64} ([0-9a-f]{64}|[0-9a-f]{96})$/)
    assert.equal(new Set(server.map((line) => line.split(' ')[1])).size, 1)
  })

  inEachProtocol((version) => {
    it('is called in order with the other callbacks: its lines come before the new session', () => {
      const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
      const told: string[] = []
      SSL_CTX_set_keylog_callback(serverCtx, () => void told.push('line'))
      SSL_CTX_sess_set_new_cb(serverCtx, () => void told.push('new'))
      connect(serverCtx, clientCtx)
      const expected = version === TLS1_2_VERSION ? ['line', 'new'] : [...Array(5).fill('line'), 'new', 'new']
      assert.deepEqual(told, expected)
    })

    it('is called when a session is resumed, too, after the get callback', () => {
      const { serverCtx, clientCtx, session, ticket } = externalCache(version)
      const told: string[] = []
      SSL_CTX_set_keylog_callback(serverCtx, () => void told.push('line'))
      SSL_CTX_sess_set_get_cb(serverCtx, () => {
        told.push('get')
        return session
      })
      assert.equal(connect(serverCtx, clientCtx, ticket).reused, true)
      assert.deepEqual(told, version === TLS1_2_VERSION ? ['get', 'line'] : ['get', ...Array(5).fill('line')])
    })

    it('may free the connection and the context', () => {
      const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
      let calls = 0
      SSL_CTX_set_keylog_callback(serverCtx, (ssl) => {
        if (calls++ > 0) return
        SSL_free(ssl)
        SSL_CTX_free(serverCtx)
      })
      assert.throws(() => connect(serverCtx, clientCtx), { code: 'ERR_HANDLE_FREED' })
      assert.ok(calls > 0)
    })
  })
})
