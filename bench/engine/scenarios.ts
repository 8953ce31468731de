// What is measured, and the targets: the engine's figures. How it is measured is in rig.ts.

import type { Direction, Peer, Rig } from './rig.js'

/** What one round has measured; the names say the unit. */
export type Values = Record<string, number>

/** A figure of one round, mostly the ratio of two values. */
export interface Figure {
  title: string
  of(values: Values): number
  target: { atMost: number } | { atLeast: number }
}

export interface Scenario {
  name: string
  about: string
  /** Measures every peer once, in an order that turns with `turn`. */
  round(rig: Rig, turn: number): Promise<Values>
  figures: Figure[]
}

const ratio = (title: string, ours: string, theirs: string, target: Figure['target']): Figure => ({
  title,
  of: (values) => Number(values[ours]) / Number(values[theirs]),
  target,
})

/** Does the measurements one after the other, in an order that turns, so that no peer always has the same place. */
async function alternate<T>(turn: number, measurements: Record<string, () => Promise<T>>): Promise<[string, T][]> {
  const names = Object.keys(measurements)
  const results: [string, T][] = []
  for (let place = 0; place < names.length; place++) {
    const name = names[(place + turn) % names.length] as string
    results.push([name, await (measurements[name] as () => Promise<T>)()])
  }
  return results
}

const CLIENTS = 64

type Run = [name: string, peer: Peer, how: Protocol & Mode, server?: { threads: number }]

async function cost(rig: Rig, turn: number, runs: Run[]): Promise<Values> {
  const results = await alternate(
    turn,
    Object.fromEntries(
      runs.map(([name, peer, how, server]) => [
        name,
        async () => {
          const times = { clients: CLIENTS, seconds: rig.scaled(2.5), warmup: rig.scaled(0.7) }
          return rig.handshakes(peer, { external: how.mode === 'resumed', ...server }, { ...how, ...times })
        },
      ]),
    ),
  )
  return Object.fromEntries(
    results.flatMap(([name, { cpu, switches }]) => [
      [`${name} (us)`, cpu],
      [`${name}, sleeps of threads`, switches],
    ]),
  )
}

type Protocol = { protocol: '1.2' | '1.3' }
type Mode = { mode: 'resumed' | 'full' }

/** The figure with as many threads as usual, and with one: as many as the other servers have. */
const eitherWay = (title: string, theirs: string, atMost: number): Figure[] => [
  ratio(title, 'openssl-session (us)', theirs, { atMost }),
  ratio(`${title}, with 1 thread`, 'openssl-session, 1 thread (us)', theirs, { atMost }),
]

const tls12Resumed: Scenario = {
  name: 'tls12-resumed',
  about: 'Processor time of the server per TLS 1.2 handshake, resumed from an external store in memory',
  round: (rig, turn) => {
    const how = { protocol: '1.2', mode: 'resumed' } as const
    return cost(rig, turn, [
      ['node:tls', 'node', how],
      ['openssl-session', 'ours', how],
      ['openssl-session, 1 thread', 'ours', how, { threads: 1 }],
      ['C', 'c', how],
    ])
  },
  figures: [...eitherWay('CPU, against node:tls', 'node:tls (us)', 0.5), ...eitherWay('CPU, against C', 'C (us)', 1.5)],
}

const tls13Resumed: Scenario = {
  name: 'tls13-resumed',
  about: 'Processor time of the server per TLS 1.3 handshake, resumed from an external store in memory',
  round: (rig, turn) => {
    const how = { protocol: '1.3', mode: 'resumed' } as const
    return cost(rig, turn, [
      ['node:tls, full handshakes', 'node', { protocol: '1.3', mode: 'full' }],
      ['openssl-session', 'ours', how],
      ['openssl-session, 1 thread', 'ours', how, { threads: 1 }],
      ['C', 'c', how],
    ])
  },
  figures: [
    ...eitherWay('CPU, against C', 'C (us)', 1.25),
    ...eitherWay("CPU, against node:tls's full handshakes", 'node:tls, full handshakes (us)', 0.65),
  ],
}

const rsa4096Full: Scenario = {
  name: 'rsa4096-full',
  about: 'A storm of full TLS 1.3 handshakes with an RSA-4096 key: rate, and event loop delay (99th percentile)',
  round: async (rig, turn) => {
    const times = { clients: CLIENTS, seconds: rig.scaled(4), warmup: rig.scaled(0.7) }
    const measure = (peer: Peer) => () => rig.storm(peer, { key: 'rsa' }, { mode: 'full', protocol: '1.3', ...times })
    const results = await alternate(turn, { 'node:tls': measure('node'), 'openssl-session': measure('ours') })
    return Object.fromEntries(
      results.flatMap(([name, { perSecond, idle, storm }]) => [
        [`${name} (per s)`, perSecond],
        [`${name}, delay idle (ms)`, idle],
        [`${name}, delay in the storm (ms)`, storm],
      ]),
    )
  },
  figures: [
    ratio('rate, against node:tls', 'openssl-session (per s)', 'node:tls (per s)', { atLeast: 1.6 }),
    {
      title: 'event loop delay above idle (ms)',
      of: (values) =>
        Number(values['openssl-session, delay in the storm (ms)']) - Number(values['openssl-session, delay idle (ms)']),
      target: { atMost: 2 },
    },
  ],
}

const slowStore: Scenario = {
  name: 'slow-store',
  about:
    'Resumed handshakes per second with 1,000 clients, from a store that answers after 5 ms and from one that answers at once',
  round: async (rig, turn) => {
    const times = { clients: 1000, seconds: rig.scaled(2), warmup: rig.scaled(0.7) }
    const measure = (peer: Peer, protocol: Protocol['protocol']) => async (): Promise<number> =>
      (await rig.handshakes(peer, { external: true }, { mode: 'resumed', protocol, ...times })).perSecond
    return Object.fromEntries(
      await alternate(turn, {
        'TLS 1.2, at once (per s)': measure('ours', '1.2'),
        'TLS 1.2, after 5 ms (per s)': measure('slow', '1.2'),
        'TLS 1.3, at once (per s)': measure('ours', '1.3'),
        'TLS 1.3, after 5 ms (per s)': measure('slow', '1.3'),
      }),
    )
  },
  figures: ['TLS 1.2', 'TLS 1.3'].map((protocol) =>
    ratio(`${protocol}, rate against at once`, `${protocol}, after 5 ms (per s)`, `${protocol}, at once (per s)`, {
      atLeast: 0.9,
    }),
  ),
}

const idle: Scenario = {
  name: 'idle',
  about: 'Resident memory of the server per TLS 1.3 connection that has echoed 1 KiB and is idle',
  round: async (rig, turn) => {
    const connections = Math.round(rig.scaled(10_000))
    const measure = (peer: Peer) => () => rig.idle(peer, connections)
    const results = await alternate(turn, { 'node:tls': measure('node'), 'openssl-session': measure('ours') })
    return Object.fromEntries(results.map(([name, bytes]) => [`${name} (KiB)`, bytes / 1024]))
  },
  figures: [ratio('memory, against node:tls', 'openssl-session (KiB)', 'node:tls (KiB)', { atMost: 0.5 })],
}

const directions: Record<string, Direction> = { 'to the server': 'up', 'from the server': 'down', echoed: 'both' }
const streams = [1, 16].flatMap((connections) =>
  Object.entries(directions).map(([words, direction]) => ({
    title: `${connections} connection${connections > 1 ? 's' : ''}, ${words}`,
    direction,
    connections,
  })),
)

const bulk: Scenario = {
  name: 'bulk',
  about: 'Bytes per second over TLS 1.3 connections, in writes of 64 KiB',
  round: async (rig, turn) => {
    const values: Values = {}
    for (const { title, direction, connections } of streams) {
      const measure = (peer: Peer) => () => rig.bulk(peer, direction, connections)
      const results = await alternate(turn, { 'node:tls': measure('node'), 'openssl-session': measure('ours') })
      for (const [name, bytes] of results) values[`${name}, ${title} (MB/s)`] = bytes / 1e6
    }
    return values
  },
  figures: streams.map(({ title }) =>
    ratio(`${title}, against node:tls`, `openssl-session, ${title} (MB/s)`, `node:tls, ${title} (MB/s)`, {
      atLeast: 1,
    }),
  ),
}

const http: Scenario = {
  name: 'http',
  about: 'HTTP/1.1 requests per second with small replies, over 64 connections that stay open (wrk)',
  round: async (rig, turn) => {
    const measure = (peer: Peer) => () => rig.http(peer)
    const results = await alternate(turn, { 'node:https': measure('node'), 'openssl-session': measure('ours') })
    return Object.fromEntries(
      results.flatMap(([name, { perSecond, cpu }]) => [
        [`${name} (per s)`, perSecond],
        [`${name}, CPU per request (us)`, cpu],
      ]),
    )
  },
  figures: [ratio('rate, against node:https', 'openssl-session (per s)', 'node:https (per s)', { atLeast: 1.1 })],
}

export const scenarios: Scenario[] = [tls12Resumed, tls13Resumed, rsa4096Full, slowStore, idle, bulk, http]
