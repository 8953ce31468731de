// The choice of an application protocol: our addition SSL_CTX_set_alpn_select_protos, and what sessions remember of it.

import assert from 'node:assert/strict'
import {
  SSL_CTX_set_alpn_protos,
  SSL_CTX_set_alpn_select_protos,
  SSL_CTX_set_num_tickets,
  SSL_get0_alpn_selected,
  SSL_get1_session,
  SSL_SESSION_get0_alpn_selected,
  SSL_set_alpn_protos,
  SSL_set_alpn_select_protos,
  TLS1_3_VERSION,
} from 'openssl-session/libssl'
import { leaveNothingBehind } from '../support/accounts.js'
import {
  clientContext,
  connect,
  HandshakeFailure,
  inEachProtocol,
  keep,
  Pair,
  present,
  serverContext,
  transfer,
} from '../support/peers.js'
import { noApplicationProtocol } from '../support/versions.js'

/** Names in ALPN's wire format. */
const wire = (...names: string[]) =>
  Buffer.concat(names.map((name) => Buffer.concat([Buffer.from([name.length]), Buffer.from(name)])))

describe('SSL_CTX_set_alpn_select_protos', () => {
  leaveNothingBehind()

  inEachProtocol((version) => {
    /** What a server and a client agree on; both must say the same. */
    function agreed(serverProtocols: Buffer | null, clientProtocols: Buffer | null): string {
      const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
      SSL_CTX_set_alpn_select_protos(serverCtx, serverProtocols)
      if (clientProtocols !== null) assert.equal(SSL_CTX_set_alpn_protos(clientCtx, clientProtocols), 0)
      const { server, client } = connect(serverCtx, clientCtx)
      assert.deepEqual(SSL_get0_alpn_selected(server), SSL_get0_alpn_selected(client))
      return SSL_get0_alpn_selected(server).toString()
    }

    it("selects by the server's preference", () => {
      assert.equal(agreed(wire('h2', 'http/1.1'), wire('http/1.1', 'h2')), 'h2')
      assert.equal(agreed(wire('http/1.1', 'h2'), wire('http/1.1', 'h2')), 'http/1.1')
      assert.equal(agreed(wire('h3', 'h2'), wire('http/1.1', 'h2')), 'h2')
    })

    it('gives way to the list of a connection, from SSL_set_alpn_select_protos', () => {
      for (const listOfContext of [null, wire('h2')]) {
        const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
        SSL_CTX_set_alpn_select_protos(serverCtx, listOfContext)
        SSL_CTX_set_alpn_protos(clientCtx, wire('h2', 'http/1.1'))
        const pair = new Pair(serverCtx, clientCtx)
        assert.notEqual(SSL_set_alpn_select_protos(pair.server, Buffer.from('\x05h2')), 0)
        assert.equal(SSL_set_alpn_select_protos(pair.server, wire('http/1.1')), 0)
        pair.handshake()
        assert.equal(SSL_get0_alpn_selected(pair.server).toString(), 'http/1.1')
        const other = connect(serverCtx, clientCtx)
        assert.equal(SSL_get0_alpn_selected(other.server).toString(), listOfContext === null ? '' : 'h2')
      }
    })

    it('selects nothing for a client that offers nothing, or when it is null', () => {
      assert.equal(agreed(wire('h2'), null), '')
      assert.equal(agreed(null, wire('h2')), '')
    })

    it('refuses a client that offers none of them, with the alert no_application_protocol', () => {
      const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
      SSL_CTX_set_alpn_select_protos(serverCtx, wire('h2'))
      const pair = new Pair(serverCtx, clientCtx)
      assert.equal(SSL_set_alpn_protos(pair.client, wire('spdy/1')), 0)
      assert.throws(
        () => pair.handshake(),
        (error) => error instanceof HandshakeFailure && error.side === 'server',
      )
      transfer(pair.server, pair.client)
      assert.throws(() => pair.handshake(), { side: 'client', reason: noApplicationProtocol.reason })
    })

    it('is what sessions remember, and what a resumption agrees on anew', () => {
      const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
      SSL_CTX_set_num_tickets(serverCtx, 1)
      SSL_CTX_set_alpn_select_protos(serverCtx, wire('h2', 'http/1.1'))
      SSL_CTX_set_alpn_protos(clientCtx, wire('h2', 'http/1.1'))
      const first = connect(serverCtx, clientCtx)
      const [session, ticket] = [first.server, first.client].map((ssl) => keep(present(SSL_get1_session(ssl))))
      first.close()
      for (const side of [session, ticket]) {
        assert.equal(SSL_SESSION_get0_alpn_selected(present(side)).toString(), 'h2')
      }
      const resumed = new Pair(serverCtx, clientCtx, present(ticket))
      SSL_set_alpn_protos(resumed.client, wire('http/1.1'))
      resumed.handshake()
      assert.equal(resumed.reused, true)
      assert.equal(SSL_get0_alpn_selected(resumed.client).toString(), 'http/1.1')
    })
  })

  it('refuses a list that is not in wire format, and leaves what was set', () => {
    const [serverCtx, clientCtx] = [serverContext(TLS1_3_VERSION), clientContext()]
    assert.equal(SSL_CTX_set_alpn_select_protos(serverCtx, wire('h2')), 0)
    for (const malformed of ['', '\0', '\x05h2', '\x02h2\0', '\x02h2\x03h']) {
      assert.notEqual(SSL_CTX_set_alpn_select_protos(serverCtx, Buffer.from(malformed)), 0)
    }
    SSL_CTX_set_alpn_protos(clientCtx, wire('http/1.1', 'h2'))
    assert.equal(SSL_get0_alpn_selected(connect(serverCtx, clientCtx).server).toString(), 'h2')
  })

  it('copies its list', () => {
    const [serverCtx, clientCtx] = [serverContext(TLS1_3_VERSION), clientContext()]
    const list = wire('h2')
    SSL_CTX_set_alpn_select_protos(serverCtx, list)
    list.fill(0)
    SSL_CTX_set_alpn_protos(clientCtx, wire('h2'))
    assert.equal(SSL_get0_alpn_selected(connect(serverCtx, clientCtx).server).toString(), 'h2')
  })
})
