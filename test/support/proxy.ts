// A TCP proxy that stands between a client and a real server of any protocol, and does to their connections what networks
// and dying machines do.

import { once } from 'node:events'
import net, { type AddressInfo, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** What becomes of the bytes that the server sends, or of connections. */
export type Fault =
  /** Everything gets through. */
  | { kind: 'none' }
  /** The server's answers come so many milliseconds later. */
  | { kind: 'delay'; milliseconds: number }
  /** The server's answers are lost, and the connection stays open. */
  | { kind: 'drop' }
  /** Of the server's next answer so many bytes get through, then the connection ends as if that were all. */
  | { kind: 'truncate'; bytes: number }
  /** Instead of the server's answers come others. */
  | { kind: 'garbage'; bytes: Buffer }
  /** Connections are reset as soon as something is sent through them, and new ones at once. */
  | { kind: 'reset' }

interface Pair {
  readonly client: Socket
  readonly server: Socket
  /** Whether answers have been lost or replaced: what comes after them would be taken for them. */
  spoilt: boolean
  /** When the last answer that was delayed is over: none may overtake it. */
  delayed: Promise<unknown>
  waiting: number
}

export class FaultyProxy {
  readonly #listener = net.createServer((client) => this.#connect(client))
  readonly #pairs = new Set<Pair>()
  readonly #target: number
  #fault: Fault = { kind: 'none' }
  port = 0
  /** Connections that have come so far. */
  connections = 0
  /** Times that clients have sent something so far. */
  requests = 0

  private constructor(target: number) {
    this.#target = target
  }

  /** A proxy on a free port of the loopback, for the server on `target`. */
  static async start(target: number): Promise<FaultyProxy> {
    const proxy = new FaultyProxy(target)
    proxy.#listener.listen(0, '127.0.0.1')
    await once(proxy.#listener, 'listening')
    proxy.port = (proxy.#listener.address() as AddressInfo).port
    return proxy
  }

  /** What happens from now on, to connections that are open too. Those that have lost answers are reset. */
  set fault(fault: Fault) {
    this.#fault = fault
    for (const pair of this.#pairs) if (pair.spoilt) this.#end(pair, true)
  }

  /** Resets every connection that is open, in the middle of whatever it is doing. */
  resetAll(): void {
    for (const pair of this.#pairs) this.#end(pair, true)
  }

  async stop(): Promise<void> {
    this.#listener.close()
    this.resetAll()
    await once(this.#listener, 'close')
  }

  #connect(client: Socket): void {
    this.connections += 1
    const server = net.connect(this.#target, '127.0.0.1')
    const pair = { client, server, spoilt: false, delayed: Promise.resolve(), waiting: 0 }
    this.#pairs.add(pair)
    for (const socket of [client, server]) {
      socket.setNoDelay(true)
      socket.on('error', () => {})
      socket.on('close', () => this.#end(pair, false))
    }
    client.on('data', (bytes) => {
      this.requests += 1
      if (this.#fault.kind === 'reset') this.#end(pair, true)
      else server.write(bytes)
    })
    server.on('data', (bytes) => this.#answer(pair, bytes))
    if (this.#fault.kind === 'reset') this.#end(pair, true)
  }

  #answer(pair: Pair, bytes: Buffer): void {
    const { client } = pair
    const fault = this.#fault
    if (fault.kind === 'drop' || fault.kind === 'garbage') pair.spoilt = true
    const delay = fault.kind === 'delay' ? fault.milliseconds : 0
    if (fault.kind === 'delay' || (fault.kind === 'none' && pair.waiting > 0)) this.#delay(pair, bytes, delay)
    else if (fault.kind === 'none') client.write(bytes)
    else if (fault.kind === 'garbage') client.write(fault.bytes)
    else if (fault.kind === 'reset') this.#end(pair, true)
    else if (fault.kind === 'truncate') client.end(bytes.subarray(0, fault.bytes), () => this.#end(pair, false))
  }

  #delay(pair: Pair, bytes: Buffer, milliseconds: number): void {
    pair.waiting += 1
    const time = sleep(milliseconds, undefined, { ref: false })
    pair.delayed = Promise.all([pair.delayed, time]).then(() => {
      pair.waiting -= 1
      if (pair.client.writable) pair.client.write(bytes)
    })
  }

  #end(pair: Pair, reset: boolean): void {
    if (!this.#pairs.delete(pair)) return
    for (const socket of [pair.client, pair.server]) {
      if (reset) socket.resetAndDestroy()
      else socket.destroy()
    }
  }
}
