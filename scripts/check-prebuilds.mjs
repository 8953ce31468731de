// Checks what prebuilt addons ask of the machine that they run on: no symbol newer than the floor (RHEL 9, Ubuntu 22.04;
// Debian 11 for libssl.so.1.1), the libraries that their name says and no other, and nothing offered but the entry points.
//
//   node scripts/check-prebuilds.mjs [FILE ...]        or all under prebuilds/
//   node scripts/check-prebuilds.mjs --all             and all that the package carries must be there

import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const prebuildFolder = join(dirname(dirname(fileURLToPath(import.meta.url))), 'prebuilds')
const floors = { GLIBC: '2.34', GLIBCXX: '3.4.29', CXXABI: '1.3.13', GCC: '12.0.0' }
/** The machines that have no newer libssl than 1.1 have an older C library, too. */
const floorsOf = { 'libssl.so.1.1.node': { ...floors, GLIBC: '2.31', GLIBCXX: '3.4.28', CXXABI: '1.3.12' } }
const system = [
  'libc.so.6',
  'libm.so.6',
  'libstdc++.so.6',
  'libgcc_s.so.1',
  'ld-linux-x86-64.so.2',
  'ld-linux-aarch64.so.1',
]
/** What musl's loader takes for itself. The addon for it brings its C++ library. */
const systemOfMusl = ['libc.so']

const isNewer = (version, floor) => version.localeCompare(floor, 'en', { numeric: true }) > 0

/** Throws unless the file may be shipped. Returns a line about it. */
export function checkPrebuild(file) {
  const readelf = (...args) => execFileSync('readelf', ['--wide', ...args, file], { encoding: 'utf8' })
  const floor = floorsOf[basename(file)] ?? floors
  const symbols = readelf('--dyn-syms')
  const newest = {}
  for (const [, name, family, version] of symbols.matchAll(/ (\S+)@(GLIBC|GLIBCXX|CXXABI|GCC)_([\d.]+)/g)) {
    if (isNewer(version, floor[family]))
      throw new Error(`${file} needs ${name} of ${family}_${version}, above ${floor[family]}`)
    if (!newest[family] || isNewer(version, newest[family])) newest[family] = version
  }
  const abi = basename(file).match(/^libssl(\.so\.[\d.]+)\.node$/)?.[1]
  const isForMusl = file.endsWith('.musl.node')
  const expected = abi ? [`libssl${abi}`, `libcrypto${abi}`] : []
  const needed = [...readelf('--dynamic').matchAll(/NEEDED.*\[(.*)\]/g)].map(([, library]) => library)
  const surplus = needed.filter(
    (library) => !(isForMusl ? systemOfMusl : system).includes(library) && !expected.includes(library),
  )
  const missing = expected.filter((library) => !needed.includes(library))
  if (surplus.length + missing.length > 0) throw new Error(`${file} is linked with ${needed.join(', ')}`)
  if (/R(UN)?PATH/.test(readelf('--dynamic'))) throw new Error(`${file} looks for libraries in a folder of its own`)
  const offered = [...symbols.matchAll(/(?:GLOBAL|WEAK) +DEFAULT +\d+ (\S+)/g)].map(([, name]) => name)
  const stray = offered.filter((name) => !/^(node_api_module_get_api_version_v1|napi_register_module_v1)$/.test(name))
  if (stray.length > 0) throw new Error(`${file} offers ${stray.join(', ')} to the rest of the process`)
  const size = (statSync(file).size / 1e6).toFixed(1)
  const versions = Object.entries(newest).map(([family, version]) => `${family}_${version}`)
  return `${file}: ${size} MB, needs ${[...versions, ...needed].join(', ')}`
}

function prebuilds() {
  if (!existsSync(prebuildFolder)) return []
  const names = readdirSync(prebuildFolder, { recursive: true }).filter((name) => name.endsWith('.node'))
  return names.sort().map((name) => join(prebuildFolder, name))
}

/** Throws unless everything is there that the package carries. */
function requireAll() {
  const names = ['libssl.so.4', 'libssl.so.3', 'libssl.so.1.1', 'static', 'static.musl']
  const files = ['x64', 'arm64'].flatMap((arch) => names.map((name) => join(`linux-${arch}`, `${name}.node`)))
  const missing = files.filter((file) => !existsSync(join(prebuildFolder, file)))
  if (missing.length === 0) return
  throw new Error(`These prebuilt addons are missing (\`npm run prebuilds\` makes them): ${missing.join(', ')}.`)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    const args = process.argv.slice(2).filter((arg) => arg !== '--all')
    if (process.argv.includes('--all')) requireAll()
    const files = args.length > 0 ? args : prebuilds()
    if (files.length === 0) throw new Error('There are no prebuilds: `npm run prebuilds` makes them.')
    for (const file of files) console.log(checkPrebuild(file))
  } catch (error) {
    console.error(error.message)
    process.exitCode = 1
  }
}
