// A TCP proxy that records what clients send before the server answers, and that a test can close to what they send after it.

import { once } from 'node:events'
import net, { type AddressInfo, type Socket } from 'node:net'

export class Gate {
  readonly #listener: net.Server
  readonly #sockets = new Set<Socket>()
  readonly #waiting: { server: Socket; bytes: Buffer }[] = []
  #closesAfterFirstFlight = false
  #open = true
  readonly #recorded: Buffer[] = []

  private constructor(target: number) {
    this.#listener = net.createServer((client) => this.#connect(client, target))
  }

  /** A gate on a free port of the loopback, for the server on `target`. */
  static async start(target: number): Promise<Gate> {
    const gate = new Gate(target)
    gate.#listener.listen(0, '127.0.0.1')
    await once(gate.#listener, 'listening')
    return gate
  }

  get port(): number {
    return (this.#listener.address() as AddressInfo).port
  }

  /** What clients have sent before they had an answer. */
  get recorded(): Buffer {
    return Buffer.concat(this.#recorded)
  }

  /** What clients send after a server has answered them waits from now on. */
  closeAfterFirstFlight(): void {
    this.#closesAfterFirstFlight = true
  }

  /** Lets go what has waited, and waits no more. */
  open(): void {
    this.#closesAfterFirstFlight = false
    this.#open = true
    for (const { server, bytes } of this.#waiting.splice(0)) server.write(bytes)
  }

  /** Ends every connection. */
  hangUp(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  destroy(): void {
    this.hangUp()
    this.#listener.close()
  }

  #connect(client: Socket, target: number): void {
    const server = net.connect(target, '127.0.0.1')
    for (const socket of [client, server]) {
      this.#sockets.add(socket)
      socket.setNoDelay(true)
      socket.on('error', () => {})
    }
    let answered = false
    server.on('data', (bytes) => {
      answered = true
      if (this.#closesAfterFirstFlight) this.#open = false
      client.write(bytes)
    })
    client.on('data', (bytes) => {
      if (!answered) this.#recorded.push(bytes)
      if (this.#open) server.write(bytes)
      else this.#waiting.push({ server, bytes })
    })
    client.on('close', () => server.destroy())
    server.on('close', () => client.destroy())
  }
}

/** What a client sends of its own accord to a server that does not answer. */
export async function firstFlight(dial: (port: number) => { destroy(): unknown }): Promise<Buffer> {
  const flight: Buffer[] = []
  const recorder = net.createServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', (bytes) => flight.push(bytes))
  })
  recorder.listen(0, '127.0.0.1')
  await once(recorder, 'listening')
  const client = dial((recorder.address() as AddressInfo).port)
  let length = -1
  while (length !== flight.length || length === 0) {
    length = flight.length
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  client.destroy()
  recorder.close()
  return Buffer.concat(flight)
}
