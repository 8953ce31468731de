// Whether the tests run under a sanitizer (scripts/sanitize.mjs), for those few to which that makes a difference.

export const sanitized = /lib[at]san/.test(process.env.LD_PRELOAD ?? '')
