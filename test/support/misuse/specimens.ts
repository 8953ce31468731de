// Arguments for the functions of the libssl layer, by the name of the parameter's type: good ones in every state that
// an object can be in, dead handles and false ones. Each call makes new ones. What is no handle is in values.ts.

import { readFileSync } from 'node:fs'
import * as libssl from 'openssl-session/libssl'
import type { Credentials } from '../credentials.js'
import type { Parameter } from '../libssl_api.js'
import { harm, type Specimen, specimen } from './values.js'

/** Insists that a value is there. */
export function present<T>(value: T | null | undefined): T {
  if (value === null || value === undefined) {
    throw new Error(`a specimen could not be made: ${libssl.ERR_error_string(libssl.ERR_get_error())}`)
  }
  return value
}

/** Two connections that talk to each other through memory. */
export interface Pair {
  readonly client: libssl.SSL
  readonly server: libssl.SSL
}

/** Two connections before their handshake, which proposes a session that the server has not got. */
export interface Conversation extends Pair {
  /** The server's context. */
  readonly context: libssl.SSL_CTX
}

const bytes = Buffer.from('some bytes')
const wireProtocols = Buffer.from('\x02h2\x08http/1.1')

export class Specimens {
  readonly #certificate: Buffer
  readonly #key: Buffer
  readonly #encryptedKey: Buffer
  readonly #pfx: Buffer
  readonly #credentials: Credentials

  constructor(credentials: Credentials) {
    this.#credentials = credentials
    this.#certificate = readFileSync(credentials.certFile)
    this.#key = readFileSync(credentials.keyFile)
    this.#encryptedKey = readFileSync(credentials.encryptedKeyFile)
    this.#pfx = readFileSync(credentials.pfxFile)
  }

  /** Good values of a type; the first is the ordinary one. `name` is the parameter's, where that says more. */
  good(type: string, name: string): Specimen[] {
    const made = this.#handles()[type] ?? this.#plain(name)[type]
    if (!made) throw new Error(`no specimens for parameters of type ${type}`)
    return made
  }

  /** Good values for a parameter, of each of its types, null last. */
  goodFor({ types, name }: Parameter): Specimen[] {
    const sorted = [...types].sort((a, b) => Number(a === 'null') - Number(b === 'null'))
    return sorted.flatMap((type) => this.good(type, name))
  }

  /** Ordinary arguments, made anew, with those of `instead` in their places. */
  ordinary(parameters: readonly Parameter[], instead: Readonly<Record<number, unknown>> = {}): unknown[] {
    return parameters.map((parameter, index) =>
      index in instead ? instead[index] : this.goodFor(parameter)[0]?.make(),
    )
  }

  /** Handles of a type whose object is gone, or not theirs any more. */
  dead(type: string): Specimen[] {
    return this.#dead()[type] ?? []
  }

  /** Objects that pretend to be handles of a class without being any. */
  impostors(type: string): Specimen[] {
    const handleClass = (libssl as unknown as Record<string, { prototype: object }>)[type]
    if (!handleClass) return []
    const good = () => this.good(type, '')[0]?.make() as object
    return [
      specimen(`the class ${type}`, () => handleClass),
      specimen(`the prototype of ${type}`, () => handleClass.prototype),
      specimen(`an object that inherits from ${type}`, () => Object.create(handleClass.prototype)),
      specimen(`an object that inherits from a handle of ${type}`, () => Object.create(good())),
      specimen(`a proxy of a handle of ${type}`, () => new Proxy(good(), {})),
      specimen(`a copy of a handle of ${type}`, () => Object.assign(Object.create(handleClass.prototype), good())),
    ]
  }

  /** Ordinary handles of every class but one. */
  foreigners(type: string): Specimen[] {
    return Object.entries(this.#handles())
      .filter(([other]) => other !== type)
      .map(([other, [ordinary]]) => specimen(`a handle of ${other}`, () => ordinary?.make()))
  }

  #plain(name: string): Readonly<Record<string, Specimen[]>> {
    const text = {
      file: this.#credentials.certFile,
      directory: this.#credentials.folder,
      passphrase: this.#credentials.passphrase,
      list: 'DEFAULT',
    }[name]
    const wire = name === 'protocols'
    return {
      number: [1, 0, 2, 7, 0x0303, 0x0304].map((value) => specimen(`${value}`, () => value)),
      string: [specimen('an ordinary string', () => text ?? 'localhost')],
      Uint8Array: [
        specimen('ordinary bytes', () => Buffer.from(wire ? wireProtocols : bytes)),
        specimen('a session in DER', () => present(libssl.i2d_SSL_SESSION(this.#session()))),
        specimen('a certificate in DER', () => present(libssl.i2d_X509(this.#x509()))),
        specimen('a session without its end', () => present(libssl.i2d_SSL_SESSION(this.#session())).subarray(0, -1)),
        specimen('a certificate without its end', () => present(libssl.i2d_X509(this.#x509())).subarray(0, -1)),
        specimen('a PKCS#12 file', () => Buffer.from(this.#pfx)),
        specimen('a certificate and a key in PEM', () => Buffer.concat([this.#certificate, this.#key])),
      ],
      null: [specimen('null', () => null)],
      NewSessionCallback: this.#callbacks(),
      RemoveSessionCallback: this.#callbacks(),
      GetSessionCallback: [...this.#callbacks(), specimen('an async function', () => async () => null)],
      KeylogCallback: this.#callbacks(),
      CertCallback: [...this.#callbacks(), specimen('an async function', () => async () => undefined)],
    }
  }

  #callbacks(): Specimen[] {
    return [
      specimen('a function', () => () => undefined),
      specimen('a function that throws', () => () => harm()),
      specimen('a function of this package', () => libssl.ERR_clear_error),
    ]
  }

  /** Good sessions of a protocol version; the first is the ordinary one. */
  sessions(version: number): Specimen[] {
    return [
      specimen('a session read from DER', () => this.#proposal(version)),
      specimen('an empty session', () => present(libssl.SSL_SESSION_new())),
      specimen('a session borrowed from a connection', () => {
        const { client } = this.#connected(version)
        return keeping(present(libssl.SSL_get0_session(client)), client)
      }),
      specimen('a session owned after its connection', () => {
        const { client } = this.#connected(version)
        const session = present(libssl.SSL_get1_session(client))
        libssl.SSL_free(client)
        return session
      }),
      specimen('a copy of a session', () => present(libssl.SSL_SESSION_dup(this.#proposal(version)))),
      specimen('a session of another context', () => {
        const session = this.#proposal(version)
        const context = this.#context()
        libssl.SSL_CTX_add_session(context, session)
        return keeping(session, context)
      }),
    ]
  }

  #handles(): Readonly<Record<string, Specimen[]>> {
    return {
      SSL_CTX: [
        specimen('a context with a certificate', () => this.#context()),
        specimen('an empty context', () => present(libssl.SSL_CTX_new(libssl.TLS_method()))),
        specimen('a context borrowed from a connection, given up by its owner', () => {
          const context = this.#context()
          const ssl = present(libssl.SSL_new(context))
          libssl.SSL_CTX_free(context)
          return keeping(present(libssl.SSL_get_SSL_CTX(ssl)), ssl)
        }),
        specimen('a context with a cached session and callbacks', () => {
          const context = this.#context()
          for (const set of [libssl.SSL_CTX_sess_set_new_cb, libssl.SSL_CTX_sess_set_remove_cb])
            set(context, () => undefined)
          libssl.SSL_CTX_add_session(context, this.#session())
          return context
        }),
      ],
      SSL: [
        specimen('a server with BIOs', () => this.#unconnected(libssl.SSL_set_accept_state)),
        specimen('a connection without role and BIOs', () => present(libssl.SSL_new(this.#context()))),
        specimen('a client with BIOs', () => this.#unconnected(libssl.SSL_set_connect_state)),
        specimen('a client with its hello sent', () => {
          const ssl = this.#unconnected(libssl.SSL_set_connect_state)
          libssl.SSL_do_handshake(ssl)
          return ssl
        }),
        specimen('a server that was sent nonsense', () => {
          const ssl = this.#unconnected(libssl.SSL_set_accept_state)
          libssl.BIO_write(present(libssl.SSL_get_rbio(ssl)), Buffer.from('GET / HTTP/1.0\r\n\r\n'))
          libssl.SSL_do_handshake(ssl)
          return ssl
        }),
        specimen('a TLS 1.2 server after its handshake', () => this.#connected(libssl.TLS1_2_VERSION).server),
        specimen('a TLS 1.2 client after its handshake', () => this.#connected(libssl.TLS1_2_VERSION).client),
        specimen('a TLS 1.3 server after its handshake', () => this.#connected(libssl.TLS1_3_VERSION).server),
        specimen('a TLS 1.3 client after its handshake', () => this.#connected(libssl.TLS1_3_VERSION).client),
        specimen('a connection with data to read', () => {
          const { client, server } = this.#connected(libssl.TLS1_3_VERSION)
          libssl.SSL_write(client, bytes)
          relay(client, server)
          libssl.SSL_peek(server, new Uint8Array(1))
          return server
        }),
        specimen('a connection that was shut down', () => {
          const { client, server } = this.#connected(libssl.TLS1_2_VERSION)
          libssl.SSL_shutdown(server)
          relay(server, client)
          libssl.SSL_shutdown(client)
          return client
        }),
        specimen('a connection that was cleared', () => {
          const { server } = this.#connected(libssl.TLS1_2_VERSION)
          libssl.SSL_clear(server)
          return server
        }),
        specimen('a connection whose BIOs were taken away', () => {
          const { server } = this.#connected(libssl.TLS1_3_VERSION)
          libssl.SSL_set_bio(server, null, null)
          return server
        }),
        specimen('a connection whose BIOs were taken away while it waited for bytes', () => {
          const { server } = this.#connected(libssl.TLS1_3_VERSION)
          libssl.SSL_read(server, new Uint8Array(1))
          libssl.SSL_set_bio(server, null, null)
          return server
        }),
        specimen('a connection whose context was freed', () => {
          const context = this.#context()
          const ssl = present(libssl.SSL_new(context))
          libssl.SSL_CTX_free(context)
          return ssl
        }),
        specimen('a server that waits for a session lookup', () => this.#paused()),
      ],
      SSL_SESSION: this.sessions(libssl.TLS1_2_VERSION),
      BIO: [
        specimen('a BIO with bytes', () => this.#bio(bytes)),
        specimen('an empty BIO', () => present(libssl.BIO_new(libssl.BIO_s_mem()))),
        specimen('a BIO with PEM', () => this.#bio(Buffer.concat([this.#certificate, this.#key]))),
        specimen('a BIO with an encrypted key', () => this.#bio(this.#encryptedKey)),
        specimen('a BIO with a session in PEM', () => {
          const bio = present(libssl.BIO_new(libssl.BIO_s_mem()))
          libssl.PEM_write_bio_SSL_SESSION(bio, this.#session())
          return bio
        }),
        specimen('a BIO with torn PEM', () => this.#bio(this.#certificate.subarray(0, 100))),
        specimen('a BIO borrowed from a connection', () => {
          const ssl = this.#unconnected(libssl.SSL_set_accept_state)
          return keeping(present(libssl.SSL_get_rbio(ssl)), ssl)
        }),
      ],
      X509: [
        specimen('a certificate', () => this.#x509()),
        specimen('a certificate borrowed from a context', () => {
          const context = this.#context()
          return keeping(this.#certificateOf(context), context)
        }),
        specimen('a certificate from a peer', () =>
          present(libssl.SSL_get1_peer_certificate(this.#connected(libssl.TLS1_3_VERSION).client)),
        ),
      ],
      X509_STORE: [
        specimen('the store of a context', () => {
          const context = this.#context()
          return keeping(present(libssl.SSL_CTX_get_cert_store(context)), context)
        }),
      ],
      EVP_PKEY: [specimen('a private key', () => this.#pkey())],
      PKCS12: [specimen('a PKCS#12 file', () => present(libssl.d2i_PKCS12(this.#pfx)))],
      SSL_METHOD: [
        specimen('TLS_method', () => libssl.TLS_method()),
        specimen('TLS_server_method', () => libssl.TLS_server_method()),
        specimen('TLS_client_method', () => libssl.TLS_client_method()),
      ],
      BIO_METHOD: [specimen('BIO_s_mem', () => libssl.BIO_s_mem())],
      SSL_CIPHER: [specimen('the cipher of a session', () => present(libssl.SSL_SESSION_get0_cipher(this.#session())))],
    }
  }

  #dead(): Readonly<Record<string, Specimen[]>> {
    return {
      SSL_CTX: [
        specimen('a freed context', () => {
          const context = this.#context()
          libssl.SSL_CTX_free(context)
          return context
        }),
        specimen('a context freed while a connection uses it', () => {
          const context = this.#context()
          const ssl = present(libssl.SSL_new(context))
          libssl.SSL_CTX_free(context)
          return keeping(context, ssl)
        }),
        specimen('a borrowed context whose connection was freed', () => {
          const ssl = present(libssl.SSL_new(this.#context()))
          const context = present(libssl.SSL_get_SSL_CTX(ssl))
          libssl.SSL_CTX_free(context)
          libssl.SSL_free(ssl)
          return context
        }),
      ],
      SSL: [
        specimen('a freed connection', () => {
          const ssl = present(libssl.SSL_new(this.#context()))
          libssl.SSL_free(ssl)
          return ssl
        }),
        specimen('a connection freed while it waited for a session lookup', () => {
          const ssl = this.#paused()
          libssl.SSL_free(ssl)
          return ssl
        }),
      ],
      SSL_SESSION: [
        specimen('a freed session', () => {
          const session = this.#session()
          libssl.SSL_SESSION_free(session)
          return session
        }),
        specimen('a borrowed session whose connection was freed', () => {
          const { client } = this.#connected(libssl.TLS1_2_VERSION)
          const session = present(libssl.SSL_get0_session(client))
          libssl.SSL_free(client)
          return session
        }),
        specimen('a session lent to a remove callback that has returned', () => {
          let lent: libssl.SSL_SESSION | undefined
          const context = this.#context()
          const session = this.#session()
          libssl.SSL_CTX_add_session(context, session)
          libssl.SSL_SESSION_free(session)
          libssl.SSL_CTX_sess_set_remove_cb(context, (_, removed) => {
            lent = removed
          })
          libssl.SSL_CTX_flush_sessions(context, 0)
          return present(lent)
        }),
      ],
      BIO: [
        specimen('a freed BIO', () => {
          const bio = this.#bio(bytes)
          libssl.BIO_free(bio)
          return bio
        }),
        specimen('a BIO whose connection was freed', () => {
          const ssl = this.#unconnected(libssl.SSL_set_accept_state)
          const bio = present(libssl.SSL_get_rbio(ssl))
          libssl.SSL_free(ssl)
          return bio
        }),
      ],
      X509: [
        specimen('a freed certificate', () => {
          const x509 = this.#x509()
          libssl.X509_free(x509)
          return x509
        }),
        specimen('a certificate whose context was freed', () => {
          const context = this.#context()
          const x509 = this.#certificateOf(context)
          libssl.SSL_CTX_free(context)
          return x509
        }),
        specimen('a certificate whose session was freed', () => {
          const { client } = this.#connected(libssl.TLS1_2_VERSION)
          const session = present(libssl.SSL_get1_session(client))
          const x509 = present(libssl.SSL_SESSION_get0_peer(session))
          libssl.SSL_SESSION_free(session)
          return x509
        }),
      ],
      X509_STORE: [
        specimen('the store of a freed context', () => {
          const context = this.#context()
          const store = present(libssl.SSL_CTX_get_cert_store(context))
          libssl.SSL_CTX_free(context)
          return store
        }),
      ],
      EVP_PKEY: [
        specimen('a freed key', () => {
          const pkey = this.#pkey()
          libssl.EVP_PKEY_free(pkey)
          return pkey
        }),
      ],
      PKCS12: [
        specimen('a freed PKCS#12 file', () => {
          const p12 = present(libssl.d2i_PKCS12(this.#pfx))
          libssl.PKCS12_free(p12)
          return p12
        }),
      ],
    }
  }

  #bio(content: Uint8Array): libssl.BIO {
    return present(libssl.BIO_new_mem_buf(content))
  }

  #x509(): libssl.X509 {
    return present(libssl.PEM_read_bio_X509(this.#bio(this.#certificate)))
  }

  #pkey(): libssl.EVP_PKEY {
    return present(libssl.PEM_read_bio_PrivateKey(this.#bio(this.#key), null))
  }

  #context(): libssl.SSL_CTX {
    const context = present(libssl.SSL_CTX_new(libssl.TLS_method()))
    libssl.SSL_CTX_use_certificate(context, this.#sharedCertificate())
    this.#sharedKey ??= this.#pkey()
    libssl.SSL_CTX_use_PrivateKey(context, this.#sharedKey)
    libssl.SSL_CTX_set_session_cache_mode(context, libssl.SSL_SESS_CACHE_BOTH)
    libssl.SSL_CTX_set_session_id_context(context, bytes)
    libssl.SSL_CTX_set_alpn_select_protos(context, wireProtocols)
    return context
  }

  // Parsing these takes longer than anything else here. Nobody can free them: the key cannot be got at, and the
  // certificate is only borrowed.
  #sharedKey: libssl.EVP_PKEY | undefined
  #sharedCertificate(): libssl.X509 {
    if (!this.#model) {
      this.#model = present(libssl.SSL_CTX_new(libssl.TLS_method()))
      this.#certificateOf(this.#model)
    }
    return present(libssl.SSL_CTX_get0_certificate(this.#model))
  }
  #model: libssl.SSL_CTX | undefined

  /** A certificate that nobody but its context holds. */
  #certificateOf(context: libssl.SSL_CTX): libssl.X509 {
    libssl.SSL_CTX_use_certificate_file(context, this.#credentials.certFile, libssl.SSL_FILETYPE_PEM)
    return present(libssl.SSL_CTX_get0_certificate(context))
  }

  #unconnected(setRole: (ssl: libssl.SSL) => void, context = this.#context()): libssl.SSL {
    const ssl = present(libssl.SSL_new(context))
    const [rbio, wbio] = [present(libssl.BIO_new(libssl.BIO_s_mem())), present(libssl.BIO_new(libssl.BIO_s_mem()))]
    libssl.SSL_set_bio(ssl, rbio, wbio)
    setRole(ssl)
    return ssl
  }

  #connected(version: number, context = this.#context()): Pair {
    libssl.SSL_CTX_set_min_proto_version(context, version)
    libssl.SSL_CTX_set_max_proto_version(context, version)
    const server = this.#unconnected(libssl.SSL_set_accept_state, context)
    const client = this.#unconnected(libssl.SSL_set_connect_state, context)
    libssl.SSL_set_tlsext_host_name(client, 'localhost')
    libssl.SSL_set_alpn_protos(client, wireProtocols)
    for (let flight = 0; flight < 4; flight++) {
      libssl.SSL_do_handshake(client)
      relay(client, server)
      libssl.SSL_do_handshake(server)
      relay(server, client)
    }
    // A TLS 1.3 client takes its tickets when it reads.
    libssl.SSL_read(client, new Uint8Array(1))
    if (libssl.SSL_is_init_finished(server) !== 1) throw new Error('the specimens could not shake hands')
    return { client, server }
  }

  #session(): libssl.SSL_SESSION {
    return this.#proposal(libssl.TLS1_2_VERSION)
  }

  /** A client's session of a server that keeps its sessions to itself, without stateless tickets. */
  #proposal(version: number): libssl.SSL_SESSION {
    let der = this.#proposals.get(version)
    if (!der) {
      const context = this.#context()
      libssl.SSL_CTX_set_options(context, libssl.SSL_OP_NO_TICKET)
      const { client } = this.#connected(version, context)
      der = present(libssl.i2d_SSL_SESSION(present(libssl.SSL_get0_session(client))))
      this.#proposals.set(version, der)
    }
    return present(libssl.d2i_SSL_SESSION(der))
  }
  readonly #proposals = new Map<number, Buffer>()

  /** A client that proposes a session, and a server whose context `prepare` has given callbacks. */
  conversation(version: number, prepare: (context: libssl.SSL_CTX) => void): Conversation {
    const context = this.#context()
    prepare(context)
    libssl.SSL_CTX_set_max_proto_version(context, version)
    libssl.SSL_CTX_set_options(context, libssl.SSL_OP_NO_TICKET)
    const server = this.#unconnected(libssl.SSL_set_accept_state, context)
    const client = this.#unconnected(libssl.SSL_set_connect_state)
    const session = this.#proposal(version)
    libssl.SSL_set_session(client, session)
    libssl.SSL_SESSION_free(session)
    return { context, server, client }
  }

  /** A server in the middle of a handshake, inside a get callback whose promise never settles. */
  #paused(): libssl.SSL {
    const { server, client } = this.conversation(libssl.TLS1_2_VERSION, (context) =>
      libssl.SSL_CTX_sess_set_get_cb(context, () => new Promise(() => undefined)),
    )
    libssl.SSL_do_handshake(client)
    relay(client, server)
    libssl.SSL_do_handshake(server)
    if (libssl.runtime().asyncJobs && libssl.SSL_waiting_for_async(server) !== 1) {
      throw new Error('the server did not wait for its lookup')
    }
    return server
  }
}

const kept = new WeakMap<object, unknown>()

/** Lets `owner` live as long as what was borrowed from it. */
function keeping<T extends object>(borrowed: T, owner: unknown): T {
  kept.set(borrowed, owner)
  return borrowed
}

/** Carries what one connection has written to the other, if both have BIOs. */
export function relay(from: libssl.SSL, to: libssl.SSL): void {
  const [source, sink] = [libssl.SSL_get_wbio(from), libssl.SSL_get_rbio(to)]
  if (!source || !sink) return
  const flight = new Uint8Array(libssl.BIO_pending(source))
  if (flight.length === 0) return
  libssl.BIO_read(source, flight)
  libssl.BIO_write(sink, flight)
}
