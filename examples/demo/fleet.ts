// A fleet, shown: four server processes on two machines keep their sessions in Redis, sealed. First each machine has a Redis
// of its own, then both share a Cluster of three masters with a replica each. `openssl s_client` roams between them in both
// protocols; a server process is killed, and a master of the Cluster. Exits 0 only if all that could be resumed was resumed,
// and all else got a handshake in full.

import { randomBytes } from 'node:crypto'
import { on } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { Session } from 'openssl-session'
import { SSL_SESSION_get0_ticket } from 'openssl-session/libssl'
import { RedisCluster, RedisServer } from '../../test/support/redis.js'
import { connectOnce, type Protocol } from './client.js'
import { type Machine, makeMachines } from './machines.js'
import { PROTOCOLS, type ServerProcess, Stage } from './stage.js'

const [machineA, machineB] = await makeMachines()
const stage = new Stage(120_000)
writeFileSync(stage.file('seal.key'), randomBytes(32), { mode: 0o600 })

/** A session that the client has. */
interface Kept {
  readonly name: string
  readonly protocol: Protocol
  /** The Redis that holds it. */
  node: RedisServer
  /** In TLS 1.3, a session is good for one connection. */
  used: boolean
}

/** The Redis nodes that each server process can ask. */
const reach = new Map<ServerProcess, readonly RedisServer[]>()
/** A node that was killed, until servers know that its replica has taken its place. */
let dead: RedisServer | null = null
const sum = { possible: 0, resumed: 0 }

/**
 * Whether a server can resume a session: it is in a Redis that the server asks, it was not used before if it is one of TLS
 * 1.3, and that Redis is up, or its replica has taken its place. This alone decides what is expected.
 */
function isPossible({ node, used }: Kept, server: ServerProcess): boolean {
  return !used && node !== dead && (reach.get(server) ?? []).includes(node)
}

async function start(name: string, nodes: readonly RedisServer[], machine: Machine): Promise<ServerProcess> {
  const server = await stage.startServer(name, nodes.map(({ url }) => url).join(), machine)
  reach.set(server, nodes)
  return server
}

function announce(nodes: readonly RedisServer[]): void {
  for (const { address, pid } of nodes) console.log(`  a Redis listens on ${address}, process ${pid}`)
}

/** The Redis that holds a session of the client's, among those that are up and are not replicas. */
async function holder(file: string, nodes: readonly RedisServer[]): Promise<RedisServer> {
  using session = Session.fromPEM(readFileSync(file, 'utf8'))
  // A server's ticket of TLS 1.3 is the id that it has for the session.
  const id = session.protocol === 'TLSv1.3' ? SSL_SESSION_get0_ticket(session.handle) : session.id
  const key = `tls-session:${id.toString('hex')}`
  for (let tries = 0; tries < 100; tries++) {
    for (const node of nodes.filter(({ isRunning }) => isRunning)) {
      const isMaster = await node.ask(async (client) => (await client.role())?.role === 'master')
      if (isMaster && (await node.ask((client) => client.keys(key))).length > 0) return node
    }
    await sleep(20)
  }
  throw new Error(`No Redis holds ${key}`)
}

async function open(name: string, server: ServerProcess, protocol: Protocol): Promise<Kept> {
  await stage.attempt({ tried: `open ${name}`, server, protocol, expect: 'full', keep: name })
  const node = await holder(stage.sessionFile(name, protocol), reach.get(server) ?? [])
  return { name, protocol, node, used: false }
}

/** Proposes a session to a server; `keep` is for going on with the session that it gives. */
async function resume(session: Kept, server: ServerProcess, tried: string, keep = false): Promise<void> {
  const { name, protocol, node } = session
  const expect = isPossible(session, server) ? 'reused' : 'full'
  // How far a failover has come cannot be seen from outside: those who ask meanwhile are to get a handshake.
  const tolerant = node === dead && !session.used
  const { seen } = await stage.attempt({
    tried: `${name}: ${tried}`,
    server,
    protocol,
    expect: tolerant ? 'either' : expect,
    propose: name,
    ...(keep && { keep: name }),
  })
  if (expect === 'reused') {
    sum.possible += 1
    if (seen === 'reused') sum.resumed += 1
  }
  if (protocol === 'TLSv1.2' || seen === 'full') return
  session.used = !keep
  if (keep) session.node = await holder(stage.sessionFile(name, protocol), reach.get(server) ?? [])
}

async function separateStores(): Promise<void> {
  console.log('Two machines with two server processes each, and each machine with a Redis of its own')
  const redisOn = (machine: Machine): Promise<RedisServer> => RedisServer.start([], 'redis-server', machine)
  const [a, b] = await Promise.all([redisOn(machineA), redisOn(machineB)])
  announce([a, b])
  const [one, two] = [await start('server-1', [a], machineA), await start('server-2', [a], machineA)]
  const [three, four] = [await start('server-3', [b], machineB), await start('server-4', [b], machineB)]
  for (const protocol of PROTOCOLS) {
    await resume(await open('a', one, protocol), two, 'in another process of machine A')
    await resume(await open('b', three, protocol), four, 'in another process of machine B')
    await resume(await open('c', two, protocol), three, 'on the other machine, which has another Redis')
  }
  for (const server of [one, two, three, four]) await stage.kill(server)
  await Promise.all([a.stop(), b.stop()])
}

async function roam(servers: ServerProcess[]): Promise<void> {
  console.log('A client roams')
  for (const protocol of PROTOCOLS) {
    const [first, ...others] = servers as [ServerProcess, ...ServerProcess[]]
    const session = await open('d', first, protocol)
    for (const server of [...others, first]) await resume(session, server, `the client comes to ${server.name}`, true)
  }
}

async function loseServer(nodes: readonly RedisServer[], servers: ServerProcess[]): Promise<void> {
  const [one, two, three, four] = servers as [ServerProcess, ServerProcess, ServerProcess, ServerProcess]
  console.log('A server process dies')
  const sessions = []
  for (const protocol of PROTOCOLS) {
    sessions.push([await open('e', two, protocol), await open('f', two, protocol)] as const)
  }
  await stage.kill(two)
  for (const [e] of sessions) await resume(e, three, 'opened by the one that died')
  servers[1] = await start(two.name, nodes, machineA)
  for (const [, f] of sessions) await resume(f, servers[1], 'opened by the one that was there before')
  for (const protocol of PROTOCOLS) {
    await resume(await open('g', four, protocol), servers[1], 'in the new one')
    await resume(await open('h', servers[1], protocol), one, 'opened by the new one')
  }
}

/** Opens sessions until some are on the same master in both protocols, and others elsewhere. Returns that master too. */
async function spread(servers: ServerProcess[]): Promise<{ sessions: Kept[]; victim: RedisServer }> {
  const sessions: Kept[] = []
  for (let count = 1; count <= 20; count++) {
    const server = servers[count % servers.length] as ServerProcess
    for (const protocol of PROTOCOLS) sessions.push(await open(`m${count}`, server, protocol))
    const enough = (node: RedisServer): boolean =>
      PROTOCOLS.every((protocol) => {
        const own = sessions.filter((session) => session.protocol === protocol)
        const there = own.filter((session) => session.node === node).length
        return there >= 2 && own.length - there >= 2
      })
    const victim = sessions.map(({ node }) => node).find(enough)
    if (victim) return { sessions, victim }
  }
  throw new Error('Sessions are not divided among the masters')
}

async function loseMaster(cluster: RedisCluster, servers: ServerProcess[]): Promise<void> {
  console.log('A master of the Cluster dies')
  const { sessions, victim } = await spread(servers)
  const next = (index: number): ServerProcess => servers[index % servers.length] as ServerProcess
  const [lost, others] = [
    sessions.filter(({ node }) => node === victim),
    sessions.filter(({ node }) => node !== victim),
  ]
  const probe = lost.find(({ protocol }) => protocol === 'TLSv1.2') as Kept
  await victim.kill()
  const began = performance.now()
  dead = victim
  console.log(`  the Redis on ${victim.address} was killed, with ${lost.length} of ${sessions.length} sessions`)
  for (const protocol of PROTOCOLS) {
    const own = (session: Kept): boolean => session.protocol === protocol
    await resume(others.filter(own)[0] as Kept, next(0), 'another master has it')
    await resume(lost.filter(own)[0] as Kept, next(1), 'the dead master has it')
  }
  while ((await cluster.masters()).length < 3) await sleep(50)
  console.log(`  a replica has taken its place after ${((performance.now() - began) / 1000).toFixed(1)} s`)
  for (const server of servers) await settled(server, stage.sessionFile(probe.name, probe.protocol))
  console.log(`  every server uses it after ${((performance.now() - began) / 1000).toFixed(1)} s`)
  dead = null
  for (const session of lost) {
    if (session.used) continue
    session.node = await holder(stage.sessionFile(session.name, session.protocol), cluster.nodes)
  }
  for (const [index, session] of sessions.entries()) {
    const where = lost.includes(session) ? 'the promoted replica has it' : 'another master has it'
    if (!session.used) await resume(session, next(index), where)
  }
}

/** Visits a server until it resumes a session of TLS 1.2 that the dead master had, and uses its store for everything. */
async function settled(server: ServerProcess, propose: string): Promise<void> {
  const { child, name } = server
  for (let tries = 0; tries < 100; tries++) {
    const { reused } = await connectOnce({ server, protocol: 'TLSv1.2', propose })
    // These are looked up and stored in TLS 1.3, too.
    await connectOnce({ server, protocol: 'TLSv1.3', propose: stage.sessionFile('a', 'TLSv1.3') })
    child.send('how is your store?')
    for await (const [message] of on(child, 'message')) {
      if (message.suspended?.length === 0 && reused) return
      if (message.suspended) break
    }
    await sleep(50)
  }
  throw new Error(`${name} does not use the promoted replica`)
}

async function main(): Promise<void> {
  await separateStores()
  console.log('Both machines share a Cluster of three masters, each with a replica')
  const args = ['--cluster-require-full-coverage', 'no']
  const cluster = await RedisCluster.start({ replicas: 1, args, places: [machineA, machineB] })
  announce(cluster.nodes)
  const servers: ServerProcess[] = []
  for (const [index, machine] of [machineA, machineA, machineB, machineB].entries()) {
    servers.push(await start(`server-${index + 1}`, cluster.nodes, machine))
  }
  await roam(servers)
  await loseServer(cluster.nodes, servers)
  await loseMaster(cluster, servers)
}

await stage.play(main, () => ({
  text: [
    `Resumed: ${sum.resumed} of ${sum.possible} that were possible. Possible is what is in a Redis that the server asks, has not`,
    'been used (TLS 1.3), and has not just lost its master. All others got a handshake in full.',
    `Servers have reported ${stage.storeErrors} failures of their store.`,
  ].join('\n'),
  ok: sum.possible > 0 && sum.resumed === sum.possible && stage.storeErrors > 0,
}))
