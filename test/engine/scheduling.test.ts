// How soon JavaScript goes on while threads compute: the time slices of the threads, where Linux lets them be chosen.

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { release } from 'node:os'
import { closeAll, dialledNode, exchange, serve, until } from '../support/tls.js'

/** Milliseconds, by the kernel's own account; undefined when it gives none. */
function sliceOf(thread: string): number | undefined {
  try {
    const [, nanoseconds] =
      /^se\.slice\s*:\s*(\d+)$/m.exec(readFileSync(`/proc/self/task/${thread}/sched`, 'utf8')) ?? []
    return nanoseconds === undefined ? undefined : Number(nanoseconds) / 1e6
  } catch {
    return undefined
  }
}

const main = String(process.pid)
const [major = 0, minor = 0] = release().split('.').map(Number)
const canChoose = (major > 6 || (major === 6 && minor >= 12)) && sliceOf(main) !== undefined

describe('Time slices', () => {
  afterEach(closeAll)

  const slices = (): (number | undefined)[] => readdirSync('/proc/self/task').map(sliceOf)

  it(`are ${canChoose ? "short for JavaScript's thread and long for the engine's, as long as there is an engine" : 'left alone by this kernel'}`, async function () {
    this.timeout(10_000)
    // Threads of tests before end a second after their last connection.
    await until(() => !canChoose || !slices().includes(6))
    const before = sliceOf(main)
    const { port } = await serve({ threads: 2 })
    assert.equal(await exchange(await dialledNode(port), 'x'), 'x')
    assert.equal(sliceOf(main), canChoose ? 0.5 : before)
    assert.equal(slices().filter((slice) => slice === 6).length >= 2, canChoose)
    await closeAll()
    await until(() => sliceOf(main) === before)
    assert.equal(slices().includes(6), false)
  })
})
