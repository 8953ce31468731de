// Finds the addon, loads it so that it gets its own OpenSSL and not Node's, and explains what went wrong if it cannot.
// Nothing here knows what the addon's functions do.
//
// The environment variable OPENSSL_SESSION_BUILD chooses another addon than build/Release: the name of a build
// (`Debug`), or the path of a .node file, absolute or relative to the working directory (a sanitizer build, for one).

import { existsSync } from 'node:fs'
import { constants } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const packageFolder = fileURLToPath(new URL('..', import.meta.url))

function addonPath(): string {
  const build = process.env.OPENSSL_SESSION_BUILD || 'Release'
  if (build.endsWith('.node')) return resolve(build)
  return join(packageFolder, 'build', build, 'openssl_session.node')
}

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

function load(path: string): Readonly<Record<string, unknown>> {
  if (!existsSync(path)) {
    throw failure(
      'ERR_ADDON_NOT_BUILT',
      `The native part of openssl-session is missing: ${path}. Build it with \`npm rebuild openssl-session\`, ` +
        'or in a checkout of its sources with `npm run build`.',
    )
  }
  const addon = { exports: {} }
  try {
    process.dlopen(addon, path, isolation())
  } catch (error) {
    // An error with another code comes from the addon, and says itself what to do.
    if ((error as NodeJS.ErrnoException).code !== 'ERR_DLOPEN_FAILED') throw error
    throw unloadable(path, error as Error)
  }
  return addon.exports
}

function unloadable(path: string, error: Error): Error {
  const rebuild = 'Build it again on this machine: `npm rebuild openssl-session`.'
  if (/OPENSSL_\d/.test(error.message)) {
    const message = `${path} was built for a newer OpenSSL than the one installed (${error.message}). ${rebuild}`
    return failure('ERR_OPENSSL_VERSION_MISMATCH', message, error)
  }
  if (/lib(ssl|crypto)/.test(error.message)) {
    const message = `${path} cannot find the OpenSSL it was built for (${error.message}). Install it, or: ${rebuild}`
    return failure('ERR_OPENSSL_NOT_FOUND', message, error)
  }
  return failure('ERR_ADDON_NOT_LOADABLE', `${path} cannot be loaded (${error.message}). ${rebuild}`, error)
}

/** Everything the addon exports, by its C name. */
export const native = load(addonPath())
