// Answers what both native builds (binding.gyp and CMakeLists.txt) ask before they can start: which OpenSSL, which
// headers, which sources, and which of them together. Plain Node without dependencies, because it also runs when the
// package is being installed.
//
//   node native/configure.mjs <question> [--root=DIR] [--static=true] [--portable=true] [--node-root=DIR] [--into=DIR]
//
// Answers are printed with one word per line. Only facts live here; flags that are the same everywhere do not.

import { execFileSync } from 'node:child_process'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const nativeFolder = dirname(fileURLToPath(import.meta.url))
const packageFolder = dirname(nativeFolder)

/** Asks pkg-config about OpenSSL: the system's, or the one installed under `root` and no other. */
function pkgConfig(root, ...args) {
  const env = { ...process.env }
  if (root) {
    env.PKG_CONFIG_LIBDIR = ['lib64/pkgconfig', 'lib/pkgconfig'].map((folder) => join(root, folder)).join(':')
    env.PKG_CONFIG_PATH = ''
  }
  try {
    return execFileSync('pkg-config', [...args, 'openssl'], {
      encoding: 'utf8',
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
      .trim()
      .split(/\s+/)
      .filter((word) => word !== '')
  } catch (cause) {
    const where = root ? `under ${root} (lib/pkgconfig/openssl.pc)` : 'on this system'
    const advice = root
      ? 'Check --openssl_root.'
      : 'Install pkg-config and the OpenSSL headers (Debian: pkg-config libssl-dev).'
    throw new Error(`pkg-config finds no OpenSSL ${where}. ${advice}\n${cause.stderr ?? cause.message}`, { cause })
  }
}

/**
 * A folder with Node's own headers and libuv's, without the copy of OpenSSL's that Node ships next to them: what
 * is not on the include path cannot be taken by mistake.
 */
function nodeHeaders(nodeRoot, target) {
  const nodeApi = ['node_api.h', 'node_api_types.h', 'js_native_api.h', 'js_native_api_types.h']
  // The second and third are where a Node source tree, given as --nodedir, has them. The package is for a Node that was
  // installed without headers.
  const folders = ['include/node', 'src', 'deps/uv/include'].map((folder) => join(resolve(nodeRoot), folder))
  const packaged = packageFile('node-api-headers/package.json')
  if (packaged) folders.push(join(dirname(packaged), 'include'))
  mkdirSync(target, { recursive: true })
  for (const name of [...nodeApi, 'uv.h', 'uv']) {
    const folder = folders.find((folder) => existsSync(join(folder, name)))
    if (folder) link(join(folder, name), join(target, name))
    else if (nodeApi.includes(name)) {
      throw new Error(`Node's header ${name} is not under ${nodeRoot}. Point --nodedir at Node's headers.`)
    }
  }
  return [target]
}

function packageFile(name) {
  try {
    return createRequire(import.meta.url).resolve(name)
  } catch {
    return null
  }
}

/** Makes `path` a link to `file`; one that is right already stays, because another build may be using it. */
function link(file, path) {
  if (lstatSync(path, { throwIfNoEntry: false })) {
    if (readlinkSync(path) === file) return
    rmSync(path)
  }
  symlinkSync(file, path)
}

/** The libraries' folder, which a static link and a private root need by name. */
function libraryFolder(root) {
  return pkgConfig(root, '--variable=libdir')[0]
}

/** `isPortable`: for another machine, where the libraries are wherever its dynamic loader finds them. */
function libraries(root, isStatic, isPortable) {
  if (isStatic) {
    const folder = libraryFolder(root)
    const archives = [join(folder, 'libssl.a'), join(folder, 'libcrypto.a')]
    for (const archive of archives) {
      if (!existsSync(archive)) throw new Error(`A static build needs ${archive}, which is not there.`)
    }
    const others = pkgConfig(root, '--static', '--libs').filter((word) => !/^-(lssl|lcrypto|L)/.test(word))
    return [...archives, ...new Set(others)]
  }
  const shared = pkgConfig(root, '--libs')
  return root && !isPortable ? [...shared, `-Wl,-rpath,${libraryFolder(root)}`] : shared
}

/** The sources, relative to the package. */
function sources() {
  return readdirSync(nativeFolder, { recursive: true })
    .filter((name) => name.endsWith('.cc'))
    .map((name) => relative(packageFolder, join(nativeFolder, name)))
    .sort()
}

/** How many sources are compiled at once. More would make the first build shorter and the next ones longer. */
const UNIT = 5

/**
 * Files that include a few sources of one folder each, to be compiled instead of them. The headers of Node and of the standard
 * library are most of what there is to compile, and are read once for each of these.
 */
function units() {
  const folder = join(packageFolder, 'build', 'units')
  mkdirSync(folder, { recursive: true })
  const all = sources()
  return [...new Set(all.map(dirname))].flatMap((origin) => {
    const members = all.filter((source) => dirname(source) === origin)
    return Array.from({ length: Math.ceil(members.length / UNIT) }, (_, index) => {
      const file = join(folder, `${basename(origin)}-${index + 1}.cc`)
      const included = members.slice(index * UNIT, (index + 1) * UNIT)
      const text = included.map((source) => `#include "../../${source}"\n`).join('')
      // One that is right already stays: what it was compiled to is right, too.
      if (!existsSync(file) || readFileSync(file, 'utf8') !== text) writeFileSync(file, text)
      return relative(packageFolder, file)
    })
  })
}

const questions = {
  /** The version that the headers must turn out to have. */
  version: ({ root }) => pkgConfig(root, '--modversion'),
  /** Include folders of OpenSSL; none when the compiler looks there anyway. */
  'openssl-headers': ({ root }) => pkgConfig(root, '--cflags-only-I').map((flag) => flag.replace(/^-I/, '')),
  libraries: ({ root, static: isStatic, portable }) => libraries(root, isStatic === 'true', portable === 'true'),
  'node-headers': ({ 'node-root': nodeRoot = resolve(dirname(process.execPath), '..'), into }) =>
    nodeHeaders(nodeRoot, into ?? join(packageFolder, 'build', 'node-headers')),
  'addon-api': () => [createRequire(import.meta.url)('node-addon-api').include_dir].map((folder) => resolve(folder)),
  sources,
  units,
}

const [question, ...args] = process.argv.slice(2)
const options = Object.fromEntries(
  args.map((arg) => arg.replace(/^--/, '').split(/=(.*)/s, 2)).filter(([, value]) => value),
)
const answer = questions[question]
if (!answer) {
  console.error(
    `Usage: node native/configure.mjs ${Object.keys(questions).join('|')} [--root=DIR] [--static=true] [--portable=true] ` +
      '[--node-root=DIR] [--into=DIR]',
  )
  process.exit(2)
}
try {
  for (const word of answer(options)) console.log(word)
} catch (error) {
  console.error(error.message)
  process.exit(1)
}
