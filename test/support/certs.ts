// A small public key infrastructure for tests of the tls layer, made by the real openssl program when first asked for: a
// root, an intermediate CA, and certificates of servers and clients under it.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openssl } from './credentials.js'

/** A certificate and its key, PEM. */
export interface Identity {
  /** The certificate alone. */
  readonly cert: string
  /** The certificate followed by its chain, without the root. */
  readonly chain: string
  readonly key: string
  readonly certFile: string
  readonly chainFile: string
  readonly keyFile: string
}

export interface Certs {
  /** The root: trust this, and everything below verifies. */
  readonly root: Identity
  readonly intermediate: Identity
  /** localhost and 127.0.0.1, ECDSA P-256, signed by the intermediate CA. */
  readonly server: Identity
  /** The same names, RSA 2048. */
  readonly rsa: Identity
  /** a.example.com. */
  readonly a: Identity
  /** *.example.org. */
  readonly wildcard: Identity
  /** A client's certificate, CN=client. */
  readonly client: Identity
  /** localhost, signed by itself. */
  readonly selfSigned: Identity
  /** The server's certificate, chain and key, sealed with `passphrase`. */
  readonly pfx: Buffer
  /** The server's key, sealed with `passphrase`. */
  readonly encryptedKey: string
  readonly passphrase: string
}

const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256']
const rsa = ['-newkey', 'rsa:2048']

class Authority {
  readonly #folder = mkdtempSync(join(tmpdir(), 'openssl-session-certs-'))
  #serial = 0

  constructor() {
    process.on('exit', () => rmSync(this.#folder, { recursive: true, force: true }))
  }

  path(name: string): string {
    return join(this.#folder, name)
  }

  issue(name: string, subject: string, extensions: string[], issuer: Identity | null, keyType = ec): Identity {
    const files = {
      certFile: this.path(`${name}.pem`),
      keyFile: this.path(`${name}.key`),
      chainFile: this.path(`${name}.chain.pem`),
    }
    const requestFile = this.path(`${name}.csr`)
    const extensionFile = this.path(`${name}.ext`)
    writeFileSync(extensionFile, `${extensions.join('\n')}\n`)
    openssl('req', '-new', ...keyType, '-nodes', '-subj', subject, '-keyout', files.keyFile, '-out', requestFile)
    const signer = issuer ? ['-CA', issuer.certFile, '-CAkey', issuer.keyFile] : ['-signkey', files.keyFile]
    const serial = ['-set_serial', String(++this.#serial), '-days', '30']
    openssl('x509', '-req', '-in', requestFile, ...signer, ...serial, '-extfile', extensionFile, '-out', files.certFile)
    const cert = readFileSync(files.certFile, 'utf8')
    // A root is never sent.
    const chain = issuer && issuer.chain !== '' ? cert + issuer.chain : issuer ? cert : ''
    writeFileSync(files.chainFile, chain || cert)
    return { ...files, cert, chain, key: readFileSync(files.keyFile, 'utf8') }
  }
}

function make(): Certs {
  const authority = new Authority()
  const ca = ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign,cRLSign', 'subjectKeyIdentifier=hash']
  const leaf = (...names: string[]): string[] => [
    'basicConstraints=CA:FALSE',
    ...(names.length > 0 ? [`subjectAltName=${names.join(',')}`] : []),
  ]
  const localhost = leaf('DNS:localhost', 'IP:127.0.0.1')
  const root = authority.issue('root', '/CN=test root', ca, null)
  const intermediate = authority.issue('intermediate', '/CN=test intermediate', ca, root)
  const server = authority.issue('server', '/CN=localhost', localhost, intermediate)
  const passphrase = 'correct horse'
  const sealed = ['-passout', `pass:${passphrase}`]
  openssl('pkey', '-in', server.keyFile, '-aes256', ...sealed, '-out', authority.path('server.sealed.key'))
  const inside = ['-inkey', server.keyFile, '-in', server.certFile, '-certfile', intermediate.certFile]
  openssl('pkcs12', '-export', ...inside, ...sealed, '-out', authority.path('server.pfx'))
  return {
    root,
    intermediate,
    server,
    rsa: authority.issue('rsa', '/CN=localhost', localhost, intermediate, rsa),
    a: authority.issue('a', '/CN=a.example.com', leaf('DNS:a.example.com'), intermediate),
    wildcard: authority.issue('wildcard', '/CN=example.org', leaf('DNS:*.example.org'), intermediate),
    client: authority.issue('client', '/CN=client', leaf(), intermediate),
    selfSigned: authority.issue('selfsigned', '/CN=localhost', localhost, null),
    pfx: readFileSync(authority.path('server.pfx')),
    encryptedKey: readFileSync(authority.path('server.sealed.key'), 'utf8'),
    passphrase,
  }
}

let made: Certs | undefined

/** The certificates of this process. */
export function certs(): Certs {
  made ??= make()
  return made
}
