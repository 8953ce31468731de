// curl as the client of web servers over our sockets: HTTP/1.1 and HTTP/2, connections used again, and sessions resumed.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import http2 from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ServerOptions } from 'openssl-session'
import { MemorySessionStore } from 'openssl-session/stores'
import { certs } from '../support/certs.js'
import { closeAll, inEachHome, inEachVersion, only } from '../support/tls.js'
import { body, content, curl, inFront, proxy, type WebSite } from '../support/web.js'

const MB = 2 ** 20

/** What curl says after each transfer. */
const report = ['--write-out', '%{http_code} HTTP/%{http_version} %{num_connects}\n']

/** Both kinds of HTTP on one port, with the same answers. */
function website(options: ServerOptions = {}): Promise<WebSite> {
  const large = Buffer.concat([...content(6 * MB)])
  async function answer(
    request: http.IncomingMessage | http2.Http2ServerRequest,
    response: http.ServerResponse | http2.Http2ServerResponse,
  ): Promise<void> {
    const out = response as http.ServerResponse
    if (request.url === '/large') out.end(large)
    else if (request.url === '/once') out.setHeader('connection', 'close').end('once\n')
    else out.end(`${request.method} ${request.url} ${await body(request)}\n`)
  }
  const h1 = http.createServer(answer)
  const h2 = http2.createServer(answer)
  return inFront((socket) => (socket.alpnProtocol === 'h2' ? h2 : h1), {
    ALPNProtocols: ['h2', 'http/1.1'],
    ...options,
  })
}

describe('curl', () => {
  let folder: string

  before(() => {
    const features = execFileSync('curl', ['--version'], { encoding: 'utf8' })
    assert.match(features, /^Features:.*\bHTTP2\b/m, 'a curl without HTTP/2 cannot run these tests')
    folder = mkdtempSync(join(tmpdir(), 'openssl-session-curl-'))
    writeFileSync(join(folder, 'large'), Buffer.concat([...content(6 * MB)]))
  })

  after(() => rmSync(folder, { recursive: true, force: true }))
  afterEach(closeAll)

  inEachHome(() => {
    inEachVersion((version) => {
      for (const [flag, name] of [
        ['--http1.1', 'HTTP/1.1'],
        ['--http2', 'HTTP/2'],
      ] as const) {
        describe(`over ${name}`, () => {
          it('gets two answers on one connection', async () => {
            const site = await website(only(version))
            const output = await curl(site, flag, ...report, `${site.url}/one`, `${site.url}/two`)
            assert.equal(output, `GET /one \n200 ${name} 1\nGET /two \n200 ${name} 0\n`)
            assert.equal(site.sockets.length, 1)
          })

          it('downloads and uploads megabytes unharmed', async () => {
            const site = await website(only(version))
            const [file, copy] = [join(folder, 'large'), join(folder, 'copy')]
            await curl(site, flag, '--output', copy, `${site.url}/large`)
            assert.ok(readFileSync(copy).equals(readFileSync(file)))
            const answer = await curl(site, flag, '--upload-file', file, `${site.url}/put`)
            assert.ok(answer === `PUT /put ${readFileSync(file)}\n`)
          })

          it('waits for 100-continue before a large body', async () => {
            const site = await website(only(version))
            const data = ['--header', 'Expect: 100-continue', '--data-binary', `@${join(folder, 'large')}`]
            const [output] = (await curl(site, flag, ...report, '--include', ...data, `${site.url}/post`)).split(
              'POST ',
            )
            assert.match(output ?? '', new RegExp(`^${name} 100.*\\r\\n\\r\\n${name} 200`))
          })

          it('asks for many things in parallel', async () => {
            const site = await website(only(version))
            const urls = Array.from({ length: 30 }, (_, index) => `${site.url}/${index}`)
            const output = await curl(site, flag, '--parallel', '--parallel-max', '10', ...urls)
            const expected = urls.map((_, index) => `GET /${index} `)
            assert.deepEqual(output.split('\n').filter(Boolean).toSorted(), expected.toSorted())
            if (flag === '--http2') assert.ok(site.sockets.length < 10, `${site.sockets.length} connections`)
          })
        })
      }

      it('resumes its session on its second connection, from the store', async () => {
        const sessionStore = new MemorySessionStore()
        const site = await website({ ...only(version), sessionStore })
        const reused: boolean[] = []
        site.server.on('secureConnection', (socket) => reused.push(socket.isSessionReused()))
        const output = await curl(site, '--http1.1', ...report, `${site.url}/once`, `${site.url}/once`)
        assert.equal(output, 'once\n200 HTTP/1.1 1\nonce\n200 HTTP/1.1 1\n')
        assert.deepEqual(reused, [false, true])
      })
    })

    it('reaches a site through a proxy of ours, TLS within TLS', async () => {
      const hosts: string[] = []
      const [gate, site] = await Promise.all([inFront(proxy(hosts)), website()])
      const through = ['--proxy', gate.url, '--proxy-cacert', certs().root.certFile]
      const answer = await curl(site, ...through, '--resolve', `localhost:${gate.port}:127.0.0.1`, `${site.url}/far`)
      assert.equal(answer, 'GET /far \n')
      const copy = join(folder, 'through')
      await curl(site, ...through, '--output', copy, `${site.url}/large`)
      assert.ok(readFileSync(copy).equals(readFileSync(join(folder, 'large'))))
      assert.deepEqual(hosts, ['localhost', 'localhost'])
    })

    it('sees the certificate refused that it does not trust', async () => {
      const site = await website()
      await assert.rejects(curl(site, '--cacert', certs().a.certFile, site.url), /certificate/)
      assert.equal(await curl(site, `${site.url}/after`), 'GET /after \n')
    })
  })
})
