// Whether the tests run under a sanitizer (scripts/sanitize.mjs), for those few to which that makes a difference.

export const sanitized = /lib[at]san/.test(process.env.LD_PRELOAD ?? '')

const names = ['LD_PRELOAD', 'ASAN_OPTIONS', 'TSAN_OPTIONS']

/** What a process needs in an environment of its own to load the addon of the tests: nothing, but under a sanitizer. */
export const sanitizing: NodeJS.ProcessEnv = sanitized
  ? Object.fromEntries(names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])))
  : {}
