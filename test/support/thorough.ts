// How much the tests try. Those that look for what happens once in a while, or adds up, repeat something many times: briefly by
// default, so that `npm test` stays short; in continuous integration at length, which OPENSSL_SESSION_TESTS=thorough asks for.

export const thorough = process.env.OPENSSL_SESSION_TESTS === 'thorough'

/** Whether every test runs in each home with each version of TLS, and not only in each home and with each version. */
export const complete = thorough || process.env.OPENSSL_SESSION_TESTS === 'complete'

/** How often to repeat something. */
export const times = (atLength: number, briefly: number): number => (thorough ? atLength : briefly)
