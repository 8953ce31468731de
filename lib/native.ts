// Finds the addon, loads it so that it gets its own OpenSSL and not Node's, and explains what went wrong if it cannot.
// Nothing here knows what the addon's functions do.
//
// An addon built on this machine comes first (build/Release), then the prebuilt ones that the package carries, by what
// libssl the machine has: newest first, and last the one with OpenSSL inside. Environment variables choose otherwise:
//   OPENSSL_SESSION_LIBSSL  the prebuilt one for that library: `libssl.so.4`, `libssl.so.3`, `libssl.so.1.1` or `static`
//   OPENSSL_SESSION_BUILD   the name of a build (`Debug`), or the path of a .node file, absolute or relative to the
//                           working directory (a sanitizer build, for one)

import { existsSync } from 'node:fs'
import { constants } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

type Addon = Readonly<Record<string, unknown>>

const packageFolder = fileURLToPath(new URL('..', import.meta.url))

/** The prebuilt addons, by the library that they use; the first that loads is taken. */
const prebuilds = ['libssl.so.4', 'libssl.so.3', 'libssl.so.1.1', 'static']

/**
 * The C library is musl. It has no RTLD_DEEPBIND and so no isolation from Node's OpenSSL; of the prebuilt addons there is only the
 * one with OpenSSL inside for it, which needs none.
 */
const isMusl = process.platform === 'linux' && constants.dlopen.RTLD_DEEPBIND === undefined

const buildFile = (build: string) => join(packageFolder, 'build', build, 'openssl_session.node')
const prebuildFile = (name: string) =>
  join(packageFolder, 'prebuilds', `${process.platform}-${process.arch}`, `${name}${isMusl ? '.musl' : ''}.node`)

/** The flags of dlopen(3) under which the addon's symbols are looked up in its own libraries before Node's. */
function isolation(): number {
  const { RTLD_NOW, RTLD_DEEPBIND } = constants.dlopen
  // Sanitizers end the process at RTLD_DEEPBIND. They need an addon with OpenSSL inside, which is isolated without it;
  // any other is refused by the addon itself.
  const sanitized = /lib[at]san/.test(process.env.LD_PRELOAD ?? '')
  return (RTLD_NOW ?? 0) | (sanitized ? 0 : (RTLD_DEEPBIND ?? 0))
}

function failure(code: string, message: string, cause?: unknown): Error {
  return Object.assign(new Error(message, { cause }), { code })
}

function open(path: string): Addon {
  const addon = { exports: {} }
  process.dlopen(addon, path, isolation())
  return addon.exports
}

/** Whether an error is the dynamic loader's. Any other comes from the addon, and says itself what to do. */
const isLoaderError = (error: unknown) => (error as NodeJS.ErrnoException).code === 'ERR_DLOPEN_FAILED'

function load(path: string): Addon {
  if (!existsSync(path)) throw missing(path)
  try {
    return open(path)
  } catch (error) {
    throw isLoaderError(error) ? unloadable(path, error as Error) : error
  }
}

/** The first prebuilt addon whose libraries are there. */
function loadPrebuilt(): Addon {
  const refusals: string[] = []
  for (const file of prebuilds.map(prebuildFile).filter((file) => existsSync(file))) {
    try {
      return open(file)
    } catch (error) {
      // One that is there and does not start is no reason to run on an older library instead.
      if (!isLoaderError(error)) throw error
      refusals.push((error as Error).message)
    }
  }
  throw refusals.length === 0 ? missing(buildFile('Release')) : unsuitable(refusals)
}

/** Not `npm rebuild`: npm 12 runs no install script that the project has not allowed. */
const buildCommand = `\`node ${join(packageFolder, 'native', 'build.mjs')}\``

function missing(path: string): Error {
  return failure(
    'ERR_ADDON_NOT_BUILT',
    `The native part of openssl-session is missing: ${path}. Build it with ${buildCommand}, ` +
      'or in a checkout of its sources with `npm run build`.',
  )
}

function unsuitable(refusals: string[]): Error {
  return failure(
    'ERR_NO_SUITABLE_PREBUILD',
    `None of the prebuilt addons of openssl-session runs on this system:\n${refusals.map((text) => `  ${text}\n`).join('')}` +
      `Build one here with ${buildCommand}, which names the packages that this takes.`,
  )
}

function unloadable(path: string, error: Error): Error {
  const rebuild = `Build it again on this machine: ${buildCommand}.`
  if (/OPENSSL_\d/.test(error.message)) {
    const message = `${path} was built for a newer OpenSSL than the one installed (${error.message}). ${rebuild}`
    return failure('ERR_OPENSSL_VERSION_MISMATCH', message, error)
  }
  if (/lib(ssl|crypto)/.test(error.message.replace(path, ''))) {
    const message = `${path} cannot find the OpenSSL it was built for (${error.message}). Install it, or: ${rebuild}`
    return failure('ERR_OPENSSL_NOT_FOUND', message, error)
  }
  return failure('ERR_ADDON_NOT_LOADABLE', `${path} cannot be loaded (${error.message}). ${rebuild}`, error)
}

function find(): Addon {
  const { OPENSSL_SESSION_BUILD: build, OPENSSL_SESSION_LIBSSL: library } = process.env
  if (build) return load(build.endsWith('.node') ? resolve(build) : buildFile(build))
  if (library) {
    if (prebuilds.includes(library)) return load(prebuildFile(library))
    const message = `OPENSSL_SESSION_LIBSSL is "${library}"; it must be one of ${prebuilds.join(', ')}.`
    throw failure('ERR_INVALID_ARG_VALUE', message)
  }
  const built = buildFile('Release')
  return existsSync(built) ? load(built) : loadPrebuilt()
}

/** Everything the addon exports, by its C name. */
export const native = find()
