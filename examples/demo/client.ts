// The client of the demo: the system's own `openssl s_client`, asked for one connection.

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'

export type Protocol = 'TLSv1.2' | 'TLSv1.3'

export interface Request {
  server: { address: string; port: number }
  protocol: Protocol
  /** File of the session to propose. */
  propose?: string
  /** File to keep the session that the server gives. */
  keep?: string
}

export interface Outcome {
  /** What s_client says of the session. */
  reused: boolean
  /** What s_client says was negotiated. */
  protocol: string
  /** The line that the server sent. */
  answer: string
  milliseconds: number
}

const FLAG: Record<Protocol, string> = { 'TLSv1.2': '-tls1_2', 'TLSv1.3': '-tls1_3' }
const TIME_LIMIT = 20_000

/** Connects once and tells what happened; rejects when there was no handshake. */
export function connectOnce({ server, protocol, propose, keep }: Request): Promise<Outcome> {
  const args = ['s_client', '-connect', `${server.address}:${server.port}`, '-servername', 'localhost', FLAG[protocol]]
  if (propose) args.push('-sess_in', propose)
  if (keep) args.push('-sess_out', keep)
  return new Promise((resolve, reject) => {
    const started = performance.now()
    const child = spawn('openssl', args, { stdio: ['pipe', 'pipe', 'pipe'], timeout: TIME_LIMIT })
    let milliseconds = 0
    let output = ''
    const read = (chunk: Buffer) => {
      output += chunk
      // The server speaks as soon as the handshake is over.
      if (milliseconds === 0 && /^server-\d/m.test(output)) milliseconds = performance.now() - started
    }
    child.stdout.on('data', read)
    child.stderr.on('data', read)
    child.on('error', reject)
    child.on('close', () => {
      const session = /^(New|Reused), (TLSv[\d.]+), Cipher is /m.exec(output)
      const answer = /^server-\d.*$/m.exec(output)?.[0]
      if (!session || !answer || (keep && !existsSync(keep))) {
        reject(new Error(`openssl s_client made no connection:\n${output}`))
        return
      }
      resolve({ reused: session[1] === 'Reused', protocol: session[2] ?? '', answer, milliseconds })
    })
  })
}
