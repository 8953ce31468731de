// What the benchmark needs before it can measure: its two native programs, certificates, wrk, two processors and a
// description of the machine.

import { accessSync, constants, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs'
import os from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runtime } from 'openssl-session'
import { run } from './program.js'

const sources = fileURLToPath(new URL('../../../bench/native/', import.meta.url))
const outputs = fileURLToPath(new URL('../native/', import.meta.url))

const [compiler = 'c++', ...compilerArguments] = process.env.CXX?.split(' ') ?? []

/** Debian's packages of the programs that the benchmark calls. */
const packages: Record<string, string> = {
  [compiler]: 'g++ libssl-dev',
  'pkg-config': 'pkg-config',
  openssl: 'openssl',
  wrk: 'wrk',
}

/** Throws an error that names all programs that are missing, unless there are none. `optional` are those that need not be there. */
export function requirePrograms(optional: string[]): void {
  const missing = Object.keys(packages).filter((name) => !optional.includes(name) && !hasProgram(name))
  if (missing.length === 0) return
  const wanted = missing.map((name) => packages[name]).join(' ')
  throw new Error(`The benchmark lacks ${missing.join(' and ')}. On Debian: apt-get install -y ${wanted}`)
}

/** Compiles one of the native programs, if it is not up to date. Returns its path. */
export async function compile(name: string): Promise<string> {
  const output = join(outputs, name)
  const time = (file: string) => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0
  const newest = Math.max(...readdirSync(sources).map((file) => time(join(sources, file))))
  if (time(output) > newest) return output
  mkdirSync(outputs, { recursive: true })
  const libraries = (await run('pkg-config', ['--cflags', '--libs', 'openssl'])).trim().split(/\s+/)
  const strict = [...compilerArguments, '-O2', '-std=c++20', '-Wall', '-Wextra', '-Werror']
  await run(compiler, [...strict, join(sources, `${name}.cc`), '-o', output, ...libraries])
  return output
}

function hasProgram(name: string): boolean {
  const folders = name.includes('/') ? [''] : (process.env.PATH ?? '').split(delimiter)
  return folders.some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

export interface Credentials {
  cert: string
  key: string
}

/** Makes a key and a certificate for it in `folder`. `algorithm` is what `openssl req -newkey` takes. */
export async function makeCredentials(folder: string, algorithm: string[]): Promise<Credentials> {
  const name = algorithm[0]?.replace(':', '') ?? 'key'
  const files = { cert: join(folder, `${name}.cert.pem`), key: join(folder, `${name}.key.pem`) }
  const output = ['-nodes', '-keyout', files.key, '-out', files.cert]
  await run('openssl', ['req', '-x509', '-newkey', ...algorithm, ...output, '-subj', '/CN=localhost', '-days', '2'])
  return files
}

/** The processors that this process may use: "0-3,8" spelt out. */
function processors(): number[] {
  const list = /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0'
  return list.split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number)
    return Array.from({ length: last - first + 1 }, (_, index) => first + index)
  })
}

/** Confines this process and those that it starts to two processors: the targets are for servers that share two with their clients. */
export async function pin(): Promise<string> {
  const allowed = processors()
  if (allowed.length <= 2) return `all of ${allowed.length}`
  if (!hasProgram('taskset')) return `all of ${allowed.length}, since taskset is missing (the targets are for two)`
  const two = allowed.slice(0, 2).join(',')
  await run('taskset', ['-cp', two, String(process.pid)])
  return `numbers ${two} only, of ${allowed.length}`
}

/** How many files a process may open at most. */
export async function fileLimit(): Promise<number> {
  const limit = (await run('sh', ['-c', 'ulimit -Hn'])).trim()
  return limit === 'unlimited' ? Infinity : Number(limit)
}

/** Where the figures come from, line by line. */
export async function describeMachine(processorsUsed: string): Promise<string[]> {
  const { libraryVersion, linkage } = runtime()
  const load = os.loadavg().map((average) => average.toFixed(2))
  return [
    `machine      ${os.cpus()[0]?.model.trim() ?? 'unknown'}, ${Math.round(os.totalmem() / 2 ** 30)} GiB, ${os.type()} ${os.release()}`,
    `processors   ${processorsUsed}, load averages ${load.join(' ')}`,
    `Node.js      ${process.version}, its own OpenSSL ${process.versions.openssl}`,
    `our libssl   ${libraryVersion}, ${linkage}`,
    `C's libssl   OpenSSL ${(await run('pkg-config', ['--modversion', 'openssl'])).trim()}`,
  ]
}
