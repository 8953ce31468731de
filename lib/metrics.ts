// Metrics for Prometheus: what diagnostics_channel publishes of sessions, and what servers tell in stats(), as metrics of
// the package prom-client. Nothing is measured here.

import { type Channel, subscribe, unsubscribe } from 'node:diagnostics_channel'
import { createRequire } from 'node:module'
import type { Metric, Registry } from 'prom-client'
import { channels, type SessionMessage } from './diagnostics.js'
import { codedError, invalidType } from './errors.js'
import type { Server } from './server.js'
import type { ServerStats } from './server-types.js'
import type { SealedSessionStore } from './stores/sealed.js'

/** What is used of a `Registry` of the package `prom-client`, version 15. @see https://github.com/siimon/prom-client */
export interface MetricsRegister {
  registerMetric(metric: never): void
  removeSingleMetric(name: string): void
}

/** What `collectSessionMetrics` counts besides the sessions of this process. */
export interface SessionMetricsOptions {
  /** Servers whose handshakes and connections are counted as well, summed up. */
  servers?: Iterable<Server>
  /** Stores whose sealing is counted as well, summed up. */
  stores?: Iterable<SealedSessionStore>
}

/** Seconds: from memory to a network on the other side of the world. */
const buckets = [0.00001, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5]

/** What is to be counted, each once. All of it tells `stats()`. */
function listOf<T>(name: string, what: string, given: Iterable<T> | undefined): T[] {
  if (given === undefined) return []
  const isList = typeof given === 'object' && given !== null && Symbol.iterator in given
  const list = isList ? [...new Set(given)] : []
  if (isList && list.every((one) => typeof (one as { stats?: unknown } | null | undefined)?.stats === 'function'))
    return list
  throw invalidType(name, `an array of ${what}`, given)
}

function promClient(): typeof import('prom-client') {
  try {
    return createRequire(import.meta.url)('prom-client')
  } catch (error) {
    const hint = 'Install it with `npm install prom-client`.'
    throw Object.assign(codedError('ERR_METRICS_UNAVAILABLE', `The package prom-client cannot be loaded. ${hint}`), {
      cause: error,
    })
  }
}

/**
 * Adds metrics to a register of `prom-client`, and returns a function that takes them out again. They cover every server of this thread
 * for sessions, the servers given for handshakes, and the stores given for sealing:
 *
 * - `openssl_session_operations_total{operation, result}`: calls of stores, session events and callbacks; the result is `hit`, `miss` or
 *   `error` of a look-up, `done` or `error` of the others
 * - `openssl_session_operation_seconds{operation}`: how long they took, a histogram
 * - `openssl_session_handshakes_total{protocol, how}`: complete handshakes, `resumed` or `full`: the ratio of resumption
 * - `openssl_session_handshakes_failed_total`, `openssl_session_connections_total`
 * - `openssl_session_connections{state}`: now, `handshaking`, `waiting` for a look-up, or `open`
 * - `openssl_session_thread_connections{thread}`: now, on each thread of the engine
 * - `openssl_session_store_failures_total`, `openssl_session_store_skipped_total`, `openssl_session_store_owed`: see {@link ServerStats.store}
 * - `openssl_session_store_suspended{operation}`: how many of the servers do not ask their store for it now, because it has failed in it again
 *   and again
 * - `openssl_session_sealing_total{result}`: of the stores given, sessions `sealed` and `opened`, and values that did not open, `unknown_key`
 *   or `broken`: see {@link SealedSessionStore.stats}
 *
 * Throws `ERR_METRICS_UNAVAILABLE` when `prom-client` is not installed, `ERR_INVALID_ARG_TYPE` when `register` is none, or an option
 * is not what it should be.
 */
export function collectSessionMetrics(register: MetricsRegister, options: SessionMetricsOptions = {}): () => void {
  if (typeof register?.registerMetric !== 'function') throw invalidType('register', 'a Registry', register)
  if (typeof options !== 'object' || options === null) throw invalidType('options', 'an object', options)
  const servers = listOf('options.servers', 'Servers', options.servers)
  const stores = listOf('options.stores', 'SealedSessionStores', options.stores)
  const { Counter, Gauge, Histogram } = promClient()
  const registers = [register as unknown as Registry]
  const metrics: Metric[] = []
  const sum = (value: (stats: ServerStats) => number): number =>
    servers.reduce((total, server) => total + value(server.stats()), 0)

  const name = 'openssl_session_operations_total'
  const labelNames = ['operation', 'result']
  const operations = new Counter({ name, help: 'Calls of session stores, events and callbacks', labelNames, registers })
  const seconds = new Histogram({
    name: 'openssl_session_operation_seconds',
    help: 'How long calls of session stores, events and callbacks took',
    labelNames: ['operation'],
    buckets,
    registers,
  })
  metrics.push(operations, seconds)
  const observe = (looksUp: boolean) => (message: unknown) => {
    const { operation, duration, found, error } = message as SessionMessage
    const answer = looksUp ? (found ? 'hit' : 'miss') : 'done'
    operations.inc({ operation, result: error === undefined ? answer : 'error' })
    seconds.observe({ operation }, duration / 1000)
  }
  const subscriptions: [Channel, (message: unknown) => void][] = [
    [channels.new, observe(false)],
    [channels.get, observe(true)],
    [channels.remove, observe(false)],
  ]

  const counted = (name: string, help: string, value: (stats: ServerStats) => number): void => {
    const counter = new Counter({
      name,
      help,
      registers,
      collect: () => {
        counter.reset()
        counter.inc(sum(value))
      },
    })
    metrics.push(counter)
  }
  if (servers.length > 0) {
    counted('openssl_session_connections_total', 'Connections that have come', ({ accepted }) => accepted)
    counted('openssl_session_handshakes_failed_total', 'Handshakes that failed', ({ failed }) => failed)
    counted('openssl_session_store_failures_total', 'Failures of stores', ({ store }) => store?.failures ?? 0)
    const skipped = 'What stores were not asked to do because they had failed before'
    counted('openssl_session_store_skipped_total', skipped, ({ store }) => store?.skipped ?? 0)
    const handshakes = new Counter({
      name: 'openssl_session_handshakes_total',
      help: 'Complete handshakes',
      labelNames: ['protocol', 'how'],
      registers,
      collect: () => {
        handshakes.reset()
        for (const server of servers) {
          for (const [protocol, { resumed, full }] of Object.entries(server.stats().handshakes)) {
            handshakes.inc({ protocol, how: 'resumed' }, resumed)
            handshakes.inc({ protocol, how: 'full' }, full)
          }
        }
      },
    })
    const connections = new Gauge({
      name: 'openssl_session_connections',
      help: 'Connections now',
      labelNames: ['state'],
      registers,
      collect: () => {
        for (const state of ['handshaking', 'waiting', 'open'] as const) {
          connections.set(
            { state },
            sum((stats) => stats[state]),
          )
        }
      },
    })
    const owed = new Gauge({
      name: 'openssl_session_store_owed',
      help: 'Sessions that are to be deleted, or put back, as soon as stores can do it',
      registers,
      collect: () => {
        owed.set(sum(({ store }) => store?.owed ?? 0))
      },
    })
    const suspended = new Gauge({
      name: 'openssl_session_store_suspended',
      help: 'Servers that do not ask their store for this now because it has failed',
      labelNames: ['operation'],
      registers,
      collect: () => {
        for (const operation of ['get', 'take', 'set', 'delete'] as const) {
          suspended.set(
            { operation },
            sum(({ store }) => (store?.suspended.includes(operation) ? 1 : 0)),
          )
        }
      },
    })
    const threads = new Gauge({
      name: 'openssl_session_thread_connections',
      help: 'Connections on each thread of the engine now',
      labelNames: ['thread'],
      registers,
      collect: () => {
        threads.reset()
        for (const [thread, load] of (servers[0]?.stats().threads ?? []).entries()) threads.set({ thread }, load)
      },
    })
    metrics.push(handshakes, connections, owed, suspended, threads)
  }
  if (stores.length > 0) {
    const sealing = new Counter({
      name: 'openssl_session_sealing_total',
      help: 'Sessions sealed and opened, and values that could not be opened',
      labelNames: ['result'],
      registers,
      collect: () => {
        sealing.reset()
        for (const store of stores) {
          const { sealed, opened, unknownKey, broken } = store.stats()
          for (const [result, count] of Object.entries({ sealed, opened, unknown_key: unknownKey, broken })) {
            sealing.inc({ result }, count)
          }
        }
      },
    })
    metrics.push(sealing)
  }
  for (const [channel, listener] of subscriptions) subscribe(channel.name, listener)
  return () => {
    for (const [channel, listener] of subscriptions) unsubscribe(channel.name, listener)
    for (const metric of metrics) register.removeSingleMetric((metric as unknown as { name: string }).name)
  }
}
