// How long the stores take for one lookup, and how many they do in a second. Run it with
//   npx tsc -b bench && node build/bench/stores.js [folder for the file, the system's temporary one by default]

import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LmdbSessionStore, MemorySessionStore, type SessionStore } from 'openssl-session/stores'

const COUNT = 10_000
const session = randomBytes(250)
const ids = Array.from({ length: COUNT }, () => randomBytes(32))

interface Figures {
  'p50 (us)': number
  'p99 (us)': number
  'per second, 64 at once': number
}

async function measure(work: (id: Buffer) => unknown, prepare: () => Promise<unknown>): Promise<Figures> {
  await prepare()
  const times: number[] = []
  for (const id of ids) {
    const began = performance.now()
    await work(id)
    times.push((performance.now() - began) * 1000)
  }
  times.sort((a, b) => a - b)
  await prepare()
  const began = performance.now()
  const rest = ids.values()
  const worker = async () => {
    for (const id of rest) await work(id)
  }
  await Promise.all(Array.from({ length: 64 }, worker))
  return {
    'p50 (us)': Math.round(times[COUNT / 2] as number),
    'p99 (us)': Math.round(times[Math.floor(COUNT * 0.99)] as number),
    'per second, 64 at once': Math.round((COUNT / (performance.now() - began)) * 1000),
  }
}

async function bench(name: string, store: Required<SessionStore>): Promise<void> {
  const fill = () => Promise.all(ids.map((id) => store.set(id, session, 3600)))
  const clear = () => Promise.all(ids.map((id) => store.delete(id)))
  console.log(name)
  console.table({
    set: await measure((id) => store.set(id, session, 3600), clear),
    get: await measure((id) => store.get(id), fill),
    take: await measure((id) => store.take(id), fill),
  })
  await store.close()
}

const folder = mkdtempSync(join(process.argv[2] ?? tmpdir(), 'stores-'))
await bench('MemorySessionStore', new MemorySessionStore())
await bench(`LmdbSessionStore in ${folder}`, new LmdbSessionStore(join(folder, 'sessions.lmdb')))
rmSync(folder, { recursive: true })
