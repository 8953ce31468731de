// Keys and certificates for tests, made by the real openssl program. One set per process, in a folder that goes with it.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Credentials {
  /** Folder that holds the files below. */
  readonly folder: string
  /** Self-signed certificate for localhost, ECDSA P-256, PEM. */
  readonly certFile: string
  /** Its private key, PEM, not encrypted. */
  readonly keyFile: string
  /** The same key, PEM, encrypted with `passphrase`. */
  readonly encryptedKeyFile: string
  /** Key and certificate, PKCS#12, sealed with `passphrase`. */
  readonly pfxFile: string
  readonly passphrase: string
}

/** Runs the openssl program. Returns what it wrote to its standard output. */
export function openssl(...args: string[]): Buffer {
  return execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'pipe'] })
}

let made: Credentials | undefined

/** The credentials of this process, made when first asked for. */
export function credentials(): Credentials {
  made ??= make()
  return made
}

function make(): Credentials {
  const folder = mkdtempSync(join(tmpdir(), 'openssl-session-test-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  const passphrase = 'correct horse'
  const files = {
    certFile: join(folder, 'cert.pem'),
    keyFile: join(folder, 'key.pem'),
    encryptedKeyFile: join(folder, 'encrypted-key.pem'),
    pfxFile: join(folder, 'cert.pfx'),
  }
  const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '30']
  const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']
  openssl(...request, ...names, '-keyout', files.keyFile, '-out', files.certFile)
  const sealed = ['-passout', `pass:${passphrase}`]
  openssl('pkey', '-in', files.keyFile, '-aes256', ...sealed, '-out', files.encryptedKeyFile)
  openssl('pkcs12', '-export', '-inkey', files.keyFile, '-in', files.certFile, ...sealed, '-out', files.pfxFile)
  return { folder, passphrase, ...files }
}

/** Reads one of the files of `credentials()`. */
export function readCredential(file: keyof Omit<Credentials, 'folder' | 'passphrase'>): Buffer {
  return readFileSync(credentials()[file])
}
