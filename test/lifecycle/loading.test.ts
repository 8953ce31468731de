// The addon in many threads, in threads that come and go, and in more than one copy.

import assert from 'node:assert/strict'
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { times } from '../support/thorough.js'
import type { Report as WorkersReport } from './programs/load_in_workers.js'
import type { Report as CopiesReport } from './programs/two_copies.js'
import { addonFile, report } from './run.js'

const nothing = { SSL_CTX: 0, SSL: 0, SSL_SESSION: 0 }
const allResumed = ['TLSv1.2 done reused', 'TLSv1.3 done reused', 'TLSv1.2 done reused', 'TLSv1.3 done reused']

describe('The addon in worker threads', () => {
  for (let seed = 1; seed <= times(3, 1); seed++) {
    it(`makes handshakes in ten at once, which may end in any order (${seed})`, async () => {
      const result = await report<WorkersReport>('load_in_workers', { plan: 'at once', seed })
      assert.equal(result.exitCodes.length, 10)
      assert.deepEqual(result.live, nothing)
      assert.deepEqual(result.ownHandshakes, allResumed, 'the main thread loads it last and can use it')
    })
  }

  it('can be loaded again when the only thread that had it is gone', async () => {
    const result = await report<WorkersReport>('load_in_workers', { plan: 'one after the other', seed: 1 })
    assert.deepEqual(result.exitCodes, Array(10).fill(0))
    assert.deepEqual(result.live, nothing)
    assert.deepEqual(result.ownHandshakes, allResumed)
  })
})

describe('Two copies of the addon in one process', () => {
  let folder: string
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'openssl-session-copy-'))
  })
  after(() => rmSync(folder, { recursive: true, force: true }))

  for (const kind of ['another file', 'the same file again'] as const) {
    it(`both work, and take no handles from each other: ${kind}`, async () => {
      const copy = kind === 'another file' ? join(folder, 'copy.node') : resolve(addonFile())
      if (kind === 'another file') copyFileSync(addonFile(), copy)
      const { handshakes, strangers, live } = await report<CopiesReport>('two_copies', { copy })
      const ofEachProtocol = ['done full', 'done full', 'done reused', 'done reused']
      assert.deepEqual(handshakes, [...ofEachProtocol, ...ofEachProtocol])
      assert.deepEqual(strangers, Array(6).fill('ERR_INVALID_ARG_TYPE'))
      assert.deepEqual(live, [nothing, nothing])
    })
  }
})
