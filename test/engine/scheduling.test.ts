// How soon JavaScript goes on while threads compute: the time slices of the threads, where Linux lets them be chosen.

import assert from 'node:assert/strict'
import { release } from 'node:os'
import type { Slices } from './programs/slices.js'
import { killAll, Program } from './programs.js'

const [major = 0, minor = 0] = release().split('.').map(Number)
const isNew = major > 6 || (major === 6 && minor >= 12)

describe('Time slices', () => {
  afterEach(killAll)

  it("are short for JavaScript's thread and long for the engine's, as long as there is an engine", async () => {
    const program = new Program('slices')
    const told = await program.says<Record<'before' | 'meanwhile' | 'after', Slices>>()
    // A kernel that tells none, or lets none be chosen, is left alone.
    const canChoose = isNew && told.before.main !== null
    const long = ({ all }: Slices): number => all.filter((slice) => slice === 6).length
    assert.equal(told.meanwhile.main, canChoose ? 0.5 : told.before.main)
    assert.deepEqual([told.before, told.meanwhile, told.after].map(long), [0, canChoose ? 2 : 0, 0])
    assert.equal(told.after.main, told.before.main)
    assert.deepEqual(await program.ended, { code: 0, signal: null, stderr: '' })
  })
})
