// connect(): a client's connection, from host and port to a checked certificate. What happens on it is in socket.ts.

import net from 'node:net'
import type { Duplex } from 'node:stream'
import tls, { type PeerCertificate } from 'node:tls'
import { sessionCertificate } from './certificates.js'
import { connectionReset, invalidType } from './errors.js'
import type { ConnectionOwner } from './session-callbacks.js'
import { TLSSocket } from './socket.js'
import type { TLSSocketOptions } from './socket-types.js'

/** Options of {@link connect}: those of a socket and its context, those of net.connect, and these. */
export interface ConnectionOptions
  extends Omit<TLSSocketOptions, 'isServer' | 'server' | 'requestCert' | 'SNICallback'>,
    Partial<Omit<net.TcpNetConnectOpts, keyof TLSSocketOptions | 'onread'>> {
  /** The path of a Unix socket, instead of host and port. */
  path?: string | undefined
  /** A connection that is there already, instead of host and port. It need not be a network socket. */
  socket?: Duplex | undefined
  /** The name to ask the server for, and to look for in its certificate. An address is looked for, but not sent. */
  servername?: string | undefined
  /** Whether a server without a valid certificate for the name is an error. The default is true. @see SSL_get_verify_result(3) */
  rejectUnauthorized?: boolean | undefined
  /** Compares name and certificate: returns what is wrong, or undefined. The default is node:tls's. Not called for resumed sessions. */
  checkServerIdentity?: ((hostname: string, certificate: PeerCertificate) => Error | undefined) | undefined
  /** Milliseconds without traffic, connecting included, after which 'timeout' is emitted. */
  timeout?: number | undefined
}

type Listener = () => void

function normalize(args: unknown[]): { options: ConnectionOptions; listener: Listener | undefined } {
  const last = args.at(-1)
  const listener = typeof last === 'function' ? (last as Listener) : undefined
  const rest = listener === undefined ? args : args.slice(0, -1)
  const [first] = rest
  const given = rest.find((value) => typeof value === 'object' && value !== null) ?? {}
  if (first !== null && typeof first === 'object') return { options: { ...given }, listener }
  const isPort = typeof first === 'number' || (typeof first === 'string' && first.trim() !== '' && Number(first) >= 0)
  if (!isPort) {
    if (typeof first !== 'string') throw invalidType('options', 'an object, a port or a path', first)
    return { options: { path: first, ...given }, listener }
  }
  const host = typeof rest[1] === 'string' ? { host: rest[1] } : {}
  return { options: { port: Number(first), ...host, ...given }, listener }
}

/** A network socket on its way to the server. */
function dial(options: ConnectionOptions): net.Socket {
  const { timeout: _timeout, signal: _signal, ...forNet } = options
  // Records are sent as they are made: nothing is gained by waiting for more.
  return net.connect({ noDelay: true, ...forNet, allowHalfOpen: true } as net.NetConnectOpts)
}

function identityOf(options: ConnectionOptions): string {
  const dialled = options.socket as { _host?: unknown } | undefined
  return options.servername || options.host || (typeof dialled?._host === 'string' && dialled._host) || 'localhost'
}

/** What is wrong with a certificate for the server that was asked for. */
function mismatch(options: ConnectionOptions, certificate: PeerCertificate): (Error & { code?: string }) | undefined {
  return (options.checkServerIdentity ?? tls.checkServerIdentity)(identityOf(options), certificate)
}

/** Judges the server's certificate and then lets the application have the connection, or not. */
function onSecure(socket: TLSSocket, options: ConnectionOptions): void {
  let error: (Error & { code?: string }) | null | undefined = socket._verifyError()
  if (error === null && !socket.isSessionReused()) error = mismatch(options, socket.getPeerCertificate(true))
  if (error) {
    socket.authorizationError = error.code ?? error.message
    if (options.rejectUnauthorized !== false) {
      socket.destroy(error)
      return
    }
  } else {
    socket.authorized = true
  }
  socket._release(() => socket.emit('secureConnect'))
}

function makeOwner(options: ConnectionOptions): ConnectionOwner {
  return {
    newSession: (socket, session) => socket._clientSession(session),
    secured: (socket) => onSecure(socket, options),
    trusts: (session) => {
      const certificate = sessionCertificate(session)
      return certificate !== null && mismatch(options, certificate) === undefined
    },
    disconnected: () => {
      const error = connectionReset('Client network socket disconnected before secure TLS connection was established')
      const { path, host, port, localAddress } = options
      return Object.assign(error, { path, host, port, localAddress })
    },
  }
}

/**
 * Connects to a server. `listener` is called once for 'secureConnect'. Throws when an option, a certificate or a key cannot be used; everything
 * later is an 'error' event.
 *
 * As with node:tls, the server is asked for a name only when `servername` is given.
 * @see SSL_connect(3)
 */
export function connect(options: ConnectionOptions, listener?: Listener): TLSSocket
export function connect(port: number, host?: string, options?: ConnectionOptions, listener?: Listener): TLSSocket
export function connect(port: number, host: string, listener?: Listener): TLSSocket
export function connect(port: number, options?: ConnectionOptions, listener?: Listener): TLSSocket
export function connect(port: number, listener?: Listener): TLSSocket
export function connect(path: string, options?: ConnectionOptions, listener?: Listener): TLSSocket
export function connect(path: string, listener?: Listener): TLSSocket
export function connect(...args: unknown[]): TLSSocket {
  const { options, listener } = normalize(args)
  if (options.checkServerIdentity !== undefined && typeof options.checkServerIdentity !== 'function') {
    throw invalidType('options.checkServerIdentity', 'a function', options.checkServerIdentity)
  }
  options.rejectUnauthorized ??= process.env.NODE_TLS_REJECT_UNAUTHORIZED !== '0'
  const transport = options.socket ?? dial(options)
  let socket: TLSSocket | undefined
  try {
    const allowHalfOpen = options.allowHalfOpen ?? (options.socket ? options.socket.allowHalfOpen : false)
    socket = new TLSSocket(transport, { ...options, allowHalfOpen, isServer: false }, { owner: makeOwner(options) })
    if (options.servername && net.isIP(options.servername) === 0) socket.setServername(options.servername)
    if (options.timeout) socket.setTimeout(options.timeout)
  } catch (error) {
    // What has been made so far is nobody's, and so are its errors.
    socket?.on('error', () => {}).destroy()
    if (options.socket === undefined) transport.destroy()
    throw error
  }
  if (listener !== undefined) socket.once('secureConnect', listener)
  return socket
}
