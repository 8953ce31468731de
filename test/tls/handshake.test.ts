// Handshakes with ourselves and with foreign peers, and what can be asked about a connection afterwards.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import nodeTls from 'node:tls'
import { connect, createServer, type TLSSocket } from 'openssl-session'
import { certs } from '../support/certs.js'
import { Program, versionFlag } from '../support/programs.js'
import {
  afterTest,
  atHome,
  closeAll,
  closed,
  describeInEachHome,
  dial,
  dialled,
  dialledNode,
  exchange,
  failure,
  hangUp,
  identity,
  inEachVersion,
  listen,
  only,
  readAll,
  serve,
  serveNode,
  until,
} from '../support/tls.js'

describeInEachHome('a TLS connection', () => {
  afterEach(closeAll)

  inEachVersion((version) => {
    it('carries data between our client and our server', async () => {
      const { port } = await serve(only(version))
      const client = await dialled(port)
      assert.equal(await exchange(client, 'hello'), 'hello')
      assert.equal(client.getProtocol(), version)
      assert.equal(client.authorized, true)
      assert.equal(client.authorizationError, null)
      assert.equal(client.encrypted, true)
      assert.equal(client.secureConnecting, false)
      assert.equal(client.connecting, false)
      await hangUp(client)
    })

    it('carries nothing that was written before to a server that is not the right one', async () => {
      let heard = ''
      const { port } = await serveNode(only(version), (socket) => {
        socket.on('error', () => {})
        socket.on('data', (chunk) => {
          heard += chunk
        })
      })
      for (const options of [{ ca: certs().client.chain }, { servername: 'elsewhere' }]) {
        const client = dial(port, { ...only(version), ...options })
        client.write('secret')
        client.end()
        await failure(client)
        assert.equal(await closed(client), true)
      }
      const right = await dialled(port, only(version))
      right.write('not secret')
      await until(() => heard.length > 0)
      assert.equal(heard, 'not secret')
    })

    it('carries data from a client of node:tls', async () => {
      const { port } = await serve(only(version))
      const client = await dialledNode(port)
      assert.equal(client.getProtocol(), version)
      assert.equal(await exchange(client, 'from node'), 'from node')
      await hangUp(client)
    })

    it('carries data to a server of node:tls', async () => {
      const { port } = await serveNode(only(version))
      const client = await dialled(port)
      assert.equal(client.getProtocol(), version)
      assert.equal(await exchange(client, 'to node'), 'to node')
      await hangUp(client)
    })

    it('carries data from openssl s_client', async () => {
      const { port } = await serve(only(version))
      const verify = ['-CAfile', certs().root.certFile, '-verify_return_error', '-servername', 'localhost']
      const client = afterTest(new Program('s_client', '-connect', `127.0.0.1:${port}`, ...verify))
      await client.prints(/Verify return code: 0 \(ok\)/)
      client.write('from the program\n')
      await client.prints(/^from the program$/m)
      await client.end()
      assert.match(client.output, new RegExp(`New, ${version}`))
    })

    it('carries data to openssl s_server', async () => {
      const { server } = certs()
      const keys = ['-cert', server.certFile, '-cert_chain', server.chainFile, '-key', server.keyFile]
      const program = afterTest(new Program('s_server', '-accept', '0', ...keys, versionFlag(version), '-rev'))
      const [, port] = await program.prints(/ACCEPT \S*:(\d+)/)
      const client = await dialled(Number(port))
      assert.equal(client.getProtocol(), version)
      assert.equal(await exchange(client, 'abc\n'), 'cba\n')
      await hangUp(client)
    })

    it('tells the same about itself on both sides', async () => {
      const { server, port } = await serve({ ...only(version), ALPNProtocols: ['second', 'first'] })
      const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>
      const client = await dialled(port, { ALPNProtocols: ['first', 'second'] })
      const [connection] = await accepted
      assert.equal(connection.getProtocol(), version)
      assert.deepEqual(connection.getCipher(), client.getCipher())
      assert.equal(client.getCipher()?.version, version)
      // The server's preference decides.
      assert.equal(client.alpnProtocol, 'second')
      assert.equal(connection.alpnProtocol, 'second')
      assert.equal(connection.servername, 'localhost')
      assert.equal(client.servername, 'localhost')
      assert.deepEqual(client.getFinished(), connection.getPeerFinished())
      assert.deepEqual(client.getPeerFinished(), connection.getFinished())
      const [length, label, context] = [48, 'EXPORTER-test', Buffer.from('context')] as const
      const material = client.exportKeyingMaterial(length, label, context)
      assert.equal(material.length, length)
      assert.deepEqual(connection.exportKeyingMaterial(length, label, context), material)
      assert.notDeepEqual(client.exportKeyingMaterial(length, label), material)
      assert.equal(connection.remotePort, client.localPort)
      assert.equal(client.remotePort, port)
      assert.equal(client.remoteAddress, '127.0.0.1')
      assert.equal(client.remoteFamily, 'IPv4')
      assert.deepEqual(client.address(), { address: '127.0.0.1', family: 'IPv4', port: client.localPort })
      await hangUp(client)
    })

    it('exports the same keying material as node:tls on the other side', async () => {
      const { server, port } = await serve(only(version))
      const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>
      const client = await dialledNode(port)
      const [connection] = await accepted
      const theirs = client.exportKeyingMaterial(32, 'EXPORTER-test', Buffer.from('x'))
      assert.deepEqual(connection.exportKeyingMaterial(32, 'EXPORTER-test', Buffer.from('x')), theirs)
      assert.deepEqual(connection.getPeerFinished(), client.getFinished())
      await hangUp(client)
    })

    it('shows certificates as node:tls does', async () => {
      const { port } = await serve(only(version))
      const ours = await dialled(port)
      const theirs = await dialledNode(port)
      assert.deepEqual(ours.getPeerCertificate(), theirs.getPeerCertificate())
      const chain = (socket: TLSSocket | nodeTls.TLSSocket): string[] => {
        const names: string[] = []
        let certificate = socket.getPeerCertificate(true)
        while (!names.includes(String(certificate.subject.CN))) {
          names.push(String(certificate.subject.CN))
          certificate = certificate.issuerCertificate
        }
        return names
      }
      assert.deepEqual(chain(ours), ['localhost', 'test intermediate', 'test root'])
      assert.deepEqual(chain(ours), chain(theirs))
      assert.equal(ours.getPeerX509Certificate()?.fingerprint256, theirs.getPeerX509Certificate()?.fingerprint256)
      assert.deepEqual(ours.getCertificate(), {})
      assert.equal(ours.getX509Certificate(), undefined)
      await Promise.all([hangUp(ours), hangUp(theirs)])
    })

    it('shows a server its own certificate, and an empty object for a client without one', async () => {
      const { server, port } = await serve(only(version))
      const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>
      const client = await dialled(port)
      const [connection] = await accepted
      assert.equal((connection.getCertificate() as nodeTls.PeerCertificate).subject.CN, 'localhost')
      assert.equal(connection.getX509Certificate()?.subject, 'CN=localhost')
      assert.deepEqual(connection.getPeerCertificate(), {})
      assert.equal(connection.getPeerX509Certificate(), undefined)
      await hangUp(client)
    })

    it('gives no keying material before the handshake is complete', async () => {
      const { port } = await serve(only(version))
      const client = afterTest(connect(atHome({ port, host: '127.0.0.1', rejectUnauthorized: false })))
      assert.throws(() => client.exportKeyingMaterial(32, 'label'), { code: 'ERR_TLS_INVALID_STATE' })
      assert.equal(client.alpnProtocol, null)
      assert.equal(client.servername, null)
      assert.equal(client.connecting, true)
      assert.equal(client.readyState, 'opening')
      await once(client, 'secureConnect')
      assert.equal(client.alpnProtocol, false)
      assert.equal(client.servername, false)
      assert.equal(client.readyState, 'open')
      await hangUp(client)
    })

    it('emits key log lines that hold the secrets of the connection', async () => {
      const { server, port } = await serve(only(version))
      const lines: string[] = []
      server.on('keylog', (line) => lines.push(line.toString()))
      const client = nodeTls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false })
      const theirs: string[] = []
      client.on('keylog', (line: Buffer) => theirs.push(line.toString()))
      await once(client, 'secureConnect')
      await exchange(client, 'x')
      assert.deepEqual(lines.toSorted(), theirs.toSorted())
      assert.ok(lines.length > 0)
      await hangUp(client)
    })

    it('emits key log lines on a client', async () => {
      const { port } = await serve(only(version))
      const client = afterTest(connect(atHome({ port, host: '127.0.0.1', rejectUnauthorized: false })))
      const lines: string[] = []
      client.on('keylog', (line) => lines.push(line.toString()))
      await once(client, 'secureConnect')
      assert.match(
        lines[0] as string,
        version === 'TLSv1.2' ? /^CLIENT_RANDOM [0-9a-f]{64} [0-9a-f]{96}\n$/ : /^\w+_SECRET(_0)? [0-9a-f]+ /,
      )
      await hangUp(client)
    })

    it('answers nothing once it is destroyed', async () => {
      const { port } = await serve(only(version))
      const client = await dialled(port)
      client.destroy()
      await once(client, 'close')
      assert.equal(client.handle, null)
      assert.equal(client.getProtocol(), null)
      assert.equal(client.getCipher(), null)
      assert.equal(client.getPeerCertificate(), null)
      assert.equal(client.getSession(), undefined)
      assert.equal(client.isSessionReused(), false)
      assert.equal(client.remoteAddress, undefined)
    })

    it('sends what was written before the handshake, and then ends', async () => {
      const { server, port } = await serve(only(version), () => {})
      const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>
      const client = afterTest(connect(atHome({ port, host: '127.0.0.1', rejectUnauthorized: false })))
      client.end('early words')
      const [connection] = await accepted
      assert.equal((await readAll(connection)).toString(), 'early words')
    })
  })

  it('chooses the highest version that both sides have', async () => {
    const { port } = await serve({ minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3' })
    const modern = await dialled(port)
    const old = await dialled(port, { maxVersion: 'TLSv1.2' })
    assert.equal(modern.getProtocol(), 'TLSv1.3')
    assert.equal(old.getProtocol(), 'TLSv1.2')
  })

  it('runs over a Unix socket', async () => {
    const { root } = certs()
    const server = createServer(identity(), (socket) => socket.pipe(socket))
    await listen(server)
    await new Promise((resolve) => server.close(resolve))
    const path = `${root.certFile}.sock`
    server.listen(path)
    await once(server, 'listening')
    const client = afterTest(connect(path, atHome({ ca: root.cert })))
    await once(client, 'secureConnect')
    assert.equal(await exchange(client, 'by path'), 'by path')
    await hangUp(client)
    await new Promise((resolve) => server.close(resolve))
  })
})
