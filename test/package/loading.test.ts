// Which of the prebuilt addons is taken, and what is said when none will do. The package is a copy of this one in which
// the addon of this checkout stands for the prebuilt ones. What is really packed is tested by scripts/test-package.mjs.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { addonFile } from '../lifecycle/run.js'
import { packageFolder } from '../support/libssl_api.js'
import { sanitizing } from '../support/sanitizer.js'

describe('The package', () => {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'openssl-session-package-')))
  const prebuilds = join(folder, 'prebuilds', `${process.platform}-${process.arch}`)
  const file = (name: string) => join(prebuilds, `${name}.node`)

  before(() => {
    for (const part of ['dist', 'native', 'package.json', 'binding.gyp']) {
      cpSync(join(packageFolder, part), join(folder, part), { recursive: true })
    }
    mkdirSync(prebuilds, { recursive: true })
  })
  after(() => rmSync(folder, { recursive: true, force: true }))

  /** Puts prebuilt addons there: good ones and others, which the dynamic loader refuses. */
  function carry({ good = [], bad = [] }: { good?: string[]; bad?: string[] }): void {
    rmSync(prebuilds, { recursive: true, force: true })
    mkdirSync(prebuilds)
    for (const name of good) copyFileSync(resolve(addonFile()), file(name))
    for (const name of bad) writeFileSync(file(name), `${name} is missing`)
  }

  /** The addon that a program gets, or the error. */
  function loaded(env: NodeJS.ProcessEnv = {}): { addon?: string; code?: string; message?: string } {
    const program = `import('./dist/libssl.js').then(
      ({ runtime }) => console.log(JSON.stringify({ addon: runtime().addon })),
      ({ code, message }) => console.log(JSON.stringify({ code, message })))`
    const { stdout, stderr } = spawnSync(process.execPath, ['--eval', program], {
      cwd: folder,
      env: { ...process.env, OPENSSL_SESSION_BUILD: '', OPENSSL_SESSION_LIBSSL: '', ...env },
      encoding: 'utf8',
    })
    assert.equal(stderr, '')
    return JSON.parse(stdout)
  }

  it('takes the addon for the newest libssl that is there', () => {
    carry({ good: ['libssl.so.4', 'libssl.so.3', 'static'] })
    assert.deepEqual(loaded(), { addon: file('libssl.so.4') })
  })

  it('passes over those whose libraries are missing', () => {
    carry({ good: ['static', 'libssl.so.1.1'], bad: ['libssl.so.4', 'libssl.so.3'] })
    assert.deepEqual(loaded(), { addon: file('libssl.so.1.1') })
  })

  it('takes the one that OPENSSL_SESSION_LIBSSL names, or fails', () => {
    carry({ good: ['libssl.so.4', 'static'], bad: ['libssl.so.3'] })
    assert.deepEqual(loaded({ OPENSSL_SESSION_LIBSSL: 'static' }), { addon: file('static') })
    const refused = loaded({ OPENSSL_SESSION_LIBSSL: 'libssl.so.3' })
    assert.equal(refused.code, 'ERR_ADDON_NOT_LOADABLE')
    assert.ok(refused.message?.includes(file('libssl.so.3')))
    assert.equal(loaded({ OPENSSL_SESSION_LIBSSL: 'libssl.so.1.1' }).code, 'ERR_ADDON_NOT_BUILT')
    const { code, message } = loaded({ OPENSSL_SESSION_LIBSSL: 'libssl.so.5' })
    assert.equal(code, 'ERR_INVALID_ARG_VALUE')
    assert.match(message ?? '', /libssl\.so\.4, libssl\.so\.3, libssl\.so\.1\.1, static/)
  })

  it('prefers an addon that was built on the machine', () => {
    carry({ good: ['libssl.so.4'] })
    const built = join(folder, 'build', 'Release', 'openssl_session.node')
    mkdirSync(join(built, '..'), { recursive: true })
    copyFileSync(resolve(addonFile()), built)
    assert.deepEqual(loaded(), { addon: built })
    assert.deepEqual(loaded({ OPENSSL_SESSION_LIBSSL: 'libssl.so.4' }), { addon: file('libssl.so.4') })
    rmSync(join(folder, 'build'), { recursive: true })
  })

  it('says with ERR_NO_SUITABLE_PREBUILD why each of them will not do', () => {
    carry({ bad: ['libssl.so.4', 'static'] })
    const { code, message } = loaded()
    assert.equal(code, 'ERR_NO_SUITABLE_PREBUILD')
    for (const name of ['libssl.so.4', 'static']) assert.ok(message?.includes(file(name)), message)
    assert.ok(message?.includes(`node ${join(folder, 'native', 'build.mjs')}`), message)
  })

  describe('when it is installed', () => {
    /** Runs what npm runs, with no more on PATH than node, a shell and a package manager. */
    function install(manager: string, asking: NodeJS.ProcessEnv = {}) {
      const bin = join(folder, 'bin')
      rmSync(bin, { recursive: true, force: true })
      mkdirSync(bin)
      symlinkSync(process.execPath, join(bin, 'node'))
      symlinkSync('/bin/sh', join(bin, 'sh'))
      writeFileSync(join(bin, manager), '#!/bin/sh\n', { mode: 0o755 })
      const env = { PATH: bin, HOME: folder, ...sanitizing, ...asking }
      return spawnSync(process.execPath, ['native/install.mjs'], { cwd: folder, env, encoding: 'utf8' })
    }

    it('does nothing, without a compiler, if an addon fits', () => {
      carry({ good: ['static'], bad: ['libssl.so.3'] })
      const { status, stdout, stderr } = install('apt-get')
      assert.deepEqual([status, stdout, stderr], [0, '', ''])
    })

    for (const [name, value] of [
      ['OPENSSL_SESSION_BUILD_FROM_SOURCE', '1'],
      ['OPENSSL_SESSION_OPENSSL_STATIC', 'true'],
      ['OPENSSL_SESSION_OPENSSL_ROOT', '/opt/openssl'],
      ['npm_config_build_from_source', 'true'],
      ['npm_config_build_from_source', 'openssl-session'],
      ['npm_config_openssl_root', '/opt/openssl'],
    ] as const) {
      it(`builds if asked by ${name}=${value}, even if an addon fits`, () => {
        carry({ good: ['static'] })
        const { status, stdout, stderr } = install('apt-get', { [name]: value })
        assert.match(stdout, /^openssl-session builds its addon here: as asked/)
        assert.deepEqual([status, /apt-get install -y g\+\+ make/.test(stderr)], [1, true], stderr)
      })
    }

    for (const [name, value] of [
      ['OPENSSL_SESSION_BUILD_FROM_SOURCE', '0'],
      ['OPENSSL_SESSION_OPENSSL_STATIC', 'false'],
      ['OPENSSL_SESSION_OPENSSL_ROOT', ''],
      ['npm_config_build_from_source', 'false'],
      ['npm_config_build_from_source', 'othermodule'],
      ['npm_config_openssl_static', '0'],
    ] as const) {
      it(`is not made to build by ${name}=${value}`, () => {
        carry({ good: ['static'] })
        const { status, stdout, stderr } = install('apt-get', { [name]: value })
        assert.deepEqual([status, stdout, stderr], [0, '', ''])
      })
    }

    for (const [manager, command] of Object.entries({
      'apt-get': /apt-get install -y g\+\+ make python3 pkg-config libssl-dev/,
      dnf: /dnf install -y gcc-c\+\+ make python3 pkgconf-pkg-config openssl-devel/,
      apk: /apk add g\+\+ linux-headers make python3 pkgconf openssl-dev/,
      brew: /brew install gcc make python3 pkgconf openssl@3/,
    })) {
      it(`names the packages that a build takes, for ${manager}, if none fits`, () => {
        carry({ bad: ['libssl.so.3'] })
        const { status, stdout, stderr } = install(manager)
        assert.equal(status, 1)
        assert.match(stdout, /libssl\.so\.3\.node/)
        assert.match(stderr, command)
      })
    }
  })

  describe('when it is built', () => {
    const script = (name: string, ...args: string[]) =>
      spawnSync(process.execPath, [join(packageFolder, name), ...args], { encoding: 'utf8' })

    it('refuses the name of a tool that it does not know, and says which there are', () => {
      const { status, stderr } = script('scripts/setup.mjs', 'reddis')
      assert.equal(status, 1)
      assert.match(stderr, /^\nThere is no tool "reddis" to look for, but compiler, make, .*redis\.\n$/)
    })

    for (const name of ['scripts/setup.mjs', 'native/build.mjs']) {
      it(`refuses an option that it does not know: ${name}`, () => {
        const { status, stderr } = script(name, '--openssl_rot=/opt/openssl')
        assert.equal(status, 1)
        assert.match(stderr, /^\nUnknown option '--openssl_rot'/)
      })
    }

    it('says where an OpenSSL was looked for that is not there', () => {
      const { status, stderr } = script('native/build.mjs', '--openssl_root=/opt/nowhere')
      assert.equal(status, 1)
      assert.match(stderr, /pkg-config finds no OpenSSL under \/opt\/nowhere .*Check --openssl_root/)
    })
  })
})
