// How long the tests go on that repeat something many times. They look for what happens once in a while, or adds up: briefly by
// default, so that `npm test` stays short; in continuous integration at length, which OPENSSL_SESSION_TESTS=thorough asks for.

export const thorough = process.env.OPENSSL_SESSION_TESTS === 'thorough'

/** How often to repeat something. */
export const times = (atLength: number, briefly: number): number => (thorough ? atLength : briefly)
