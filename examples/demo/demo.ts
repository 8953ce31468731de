// The main job, shown: sessions that outlive the process that made them. Two server processes share one LMDB file, the
// real `openssl s_client` roams between them, they are killed and come back, and their store goes away. Exits 0 only if
// every connection was resumed, or not, as it should be.

import { type ChildProcess, execFileSync, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runtime } from 'openssl-session/libssl'
import { connectOnce, type Protocol } from './client.js'
import { formatTable } from './table.js'

interface Row {
  tried: string
  protocol: string
  expected: string
  seen: string
  server: string
  milliseconds: string
  ok: boolean
}

interface ServerProcess {
  name: string
  port: number
  child: ChildProcess
}

const PROTOCOLS: Protocol[] = ['TLSv1.2', 'TLSv1.3']
const folder = mkdtempSync(join(tmpdir(), 'openssl-session-demo-'))
const storeFile = join(folder, 'sessions.mdb')
const sessionFile = (name: string, protocol: Protocol) => join(folder, `${name}-${protocol}.pem`)
const running = new Set<ChildProcess>()
const rows: Row[] = []
let storeErrors = 0

function makeCertificate(): void {
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', key]
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost']
  execFileSync('openssl', ['req', '-x509', ...newKey, ...subject, '-days', '1', '-out', cert], { stdio: 'ignore' })
}

async function startServer(name: string, store: string): Promise<ServerProcess> {
  const child = fork(fileURLToPath(new URL('server.js', import.meta.url)), [name, store, folder])
  running.add(child)
  const port = await new Promise<number>((resolve, reject) => {
    child.on('message', (message: { port?: number; storeError?: string }) => {
      if (message.storeError) storeErrors++
      if (message.port) resolve(message.port)
    })
    child.once('exit', () => reject(new Error(`${name} ended before it listened`)))
  })
  console.log(`  ${name} listens on port ${port}, process ${child.pid}`)
  return { name, port, child }
}

/** Ends a server the hard way: what its store has acknowledged must be enough. */
async function kill({ name, child }: ServerProcess): Promise<void> {
  child.kill('SIGKILL')
  await once(child, 'exit')
  running.delete(child)
  console.log(`  ${name} was killed`)
}

interface Attempt {
  tried: string
  server: ServerProcess
  protocol: Protocol
  expect: 'reused' | 'full'
  propose?: string
  keep?: string
}

async function attempt({ tried, server, protocol, expect, propose, keep }: Attempt): Promise<void> {
  const outcome = await connectOnce({
    port: server.port,
    protocol,
    ...(propose && { propose: sessionFile(propose, protocol) }),
    ...(keep && { keep: sessionFile(keep, protocol) }),
  })
  const seen = outcome.reused ? 'reused' : 'full'
  // Client, server and expectation have to agree.
  const ok =
    seen === expect && outcome.answer === `${server.name} ${protocol} ${expect}` && outcome.protocol === protocol
  const milliseconds = outcome.milliseconds.toFixed(0)
  rows.push({ tried, protocol: outcome.protocol, expected: expect, seen, server: server.name, milliseconds, ok })
  console.log(`  ${ok ? 'ok  ' : 'FAIL'} ${protocol} ${tried}: ${seen} on ${server.name}, ${milliseconds} ms`)
}

async function main(): Promise<void> {
  makeCertificate()

  console.log('Two server processes share one LMDB file')
  let first = await startServer('server-1', storeFile)
  let second = await startServer('server-2', storeFile)
  for (const protocol of PROTOCOLS) {
    await attempt({ tried: 'open a session', server: first, protocol, expect: 'full', keep: 'a' })
    await attempt({ tried: 'resume it in the other process', server: second, protocol, expect: 'reused', propose: 'a' })
    await attempt({ tried: 'open another session', server: second, protocol, expect: 'full', keep: 'b' })
  }

  console.log('Both are killed and restarted')
  await kill(first)
  await kill(second)
  first = await startServer('server-1', storeFile)
  second = await startServer('server-2', storeFile)
  for (const protocol of PROTOCOLS) {
    await attempt({ tried: 'resume after the restart', server: first, protocol, expect: 'reused', propose: 'b' })
  }

  console.log('A TLS 1.3 session is good for one connection')
  const protocol = 'TLSv1.3'
  await attempt({ tried: 'open a session', server: first, protocol, expect: 'full', keep: 'c' })
  await attempt({ tried: 'use it', server: second, protocol, expect: 'reused', propose: 'c' })
  await attempt({ tried: 'use it again', server: second, protocol, expect: 'full', propose: 'c' })
  await kill(first)
  await kill(second)

  console.log('Two server processes whose store cannot be reached')
  first = await startServer('server-1', 'unreachable')
  second = await startServer('server-2', 'unreachable')
  for (const protocol of PROTOCOLS) {
    await attempt({ tried: 'open, store down', server: first, protocol, expect: 'full', keep: 'd' })
    await attempt({ tried: 'resume, store down', server: second, protocol, expect: 'full', propose: 'd' })
  }
  await kill(first)
  await kill(second)
}

let failure: unknown
try {
  await main()
} catch (error) {
  failure = error
} finally {
  for (const child of running) child.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
}

const { headerVersion, libraryVersion, libssl, linkage } = runtime()
const failed = rows.filter(({ ok }) => !ok).length
console.log(`\n${formatTable(rows)}`)
console.log(`\nThe unreachable store was reported ${storeErrors} times and failed no handshake.`)
console.log(`OpenSSL: headers ${headerVersion}, library ${libraryVersion} (${linkage}), ${libssl}`)
if (failure) console.error(failure)
else console.log(failed === 0 ? 'Every connection went as it should.' : `${failed} did not go as they should.`)
process.exitCode = failure || failed > 0 || storeErrors === 0 ? 1 : 0
