// Two machines for the fleet: network namespaces with addresses of their own and a router between them, where the system
// allows that, else ports of this machine.

import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readlinkSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { HERE, type Place, SIGNALS } from './stage.js'

export interface Machine extends Place {
  readonly name: string
}

/** For documentation, therefore nobody's. @see RFC 5737 */
const NETWORKS = { A: '192.0.2', B: '198.51.100' }
const FORWARDING = '/proc/sys/net/ipv4/ip_forward'
const INSIDE = 'OPENSSL_SESSION_DEMO_ROUTER'
/** A network namespace, and the rights of root in it. */
const apart = ['--user', '--map-root-user', '--net']

/** With `--ports` among the program's arguments, ports in any case. */
export async function makeMachines(): Promise<[Machine, Machine]> {
  if (!(await onRouter())) {
    console.log('  machines are ports of 127.0.0.1')
    return [
      { ...HERE, name: 'A' },
      { ...HERE, name: 'B' },
    ]
  }
  ip('link', 'set', 'lo', 'up')
  writeFileSync(FORWARDING, '1')
  return [await connectMachine('A'), await connectMachine('B')]
}

/** Runs this program again in a namespace of its own, which is the router, and ends as it ends. Returns true in there, and false where there can be none. */
async function onRouter(): Promise<boolean> {
  if (process.env[INSIDE]) return true
  const trial = `ip link set lo up && ip link add name wire type veth peer name other && echo 1 >${FORWARDING}`
  const allowed = () => spawnSync('unshare', [...apart, 'sh', '-c', trial], { stdio: 'ignore' }).status === 0
  if (process.argv.includes('--ports') || !allowed()) return false
  const again = spawn('unshare', [...apart, process.execPath, ...process.execArgv, ...process.argv.slice(1)], {
    env: { ...process.env, [INSIDE]: '1' },
    stdio: 'inherit',
  })
  for (const signal of SIGNALS) process.on(signal, () => again.kill(signal))
  const [code] = await once(again, 'exit')
  process.exit(code ?? 1)
}

async function connectMachine(name: keyof typeof NETWORKS): Promise<Machine> {
  // It lives as long as the namespace has a process.
  const keeper = spawn('unshare', ['--net', 'sleep', '600'], { stdio: 'ignore' })
  process.once('exit', () => keeper.kill('SIGKILL'))
  const namespace = `/proc/${keeper.pid}/ns/net`
  const router = readlinkSync('/proc/self/ns/net')
  while (readlinkSync(namespace) === router) await sleep(5)
  const [inner, outer] = [`${NETWORKS[name]}.2`, `${NETWORKS[name]}.1`]
  const entering = ['nsenter', `--net=${namespace}`]
  ip('link', 'add', 'name', name, 'type', 'veth', 'peer', 'name', 'wire', 'netns', String(keeper.pid))
  ip('address', 'add', `${outer}/24`, 'dev', name)
  ip('link', 'set', name, 'up')
  const [enter = '', ...args] = entering
  const there = (...words: string[]): void => void execFileSync(enter, [...args, 'ip', ...words])
  there('link', 'set', 'lo', 'up')
  there('address', 'add', `${inner}/24`, 'dev', 'wire')
  there('link', 'set', 'wire', 'up')
  there('route', 'add', 'default', 'via', outer)
  console.log(`  machine ${name} is a network namespace with the address ${inner}, process ${keeper.pid}`)
  return { name, address: inner, entering }
}

function ip(...args: string[]): void {
  execFileSync('ip', args)
}
