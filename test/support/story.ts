// A record of callbacks in which every handle has a name. A name stands for one JavaScript object, so that comparing
// two stories compares identities too.

import assert from 'node:assert/strict'
import {
  SSL,
  SSL_CTX,
  SSL_CTX_sess_set_get_cb,
  SSL_CTX_sess_set_new_cb,
  SSL_CTX_sess_set_remove_cb,
  SSL_SESSION,
  SSL_SESSION_get_id,
} from 'openssl-session/libssl'
import { keep } from './peers.js'

/** What happened, in words: `new server session1`. */
export class Story {
  readonly #names = new WeakMap<object, string>()
  readonly #sessionsById = new Map<string, string>()
  readonly #counts = new Map<string, number>()
  readonly #lines: string[] = []

  /** Gives objects the names of their properties. Without a name of its own an object becomes session1, ssl1 or ctx1. */
  call(objects: Record<string, object>): this {
    for (const [name, object] of Object.entries(objects)) this.#name(object, name)
    return this
  }

  /** Adds a line: the event and the names of what it is about. The id of a known session is `id(session1)`. */
  tell(event: string, ...about: unknown[]): void {
    this.#lines.push([event, ...about.map((value) => this.#word(value))].join(' '))
  }

  /** Asserts that exactly this was told since the last time. */
  expect(...lines: string[]): void {
    assert.deepEqual(this.take(), lines)
  }

  /** Takes what was told since the last time. */
  take(): string[] {
    return this.#lines.splice(0)
  }

  #word(value: unknown): string {
    if (value instanceof Uint8Array) {
      const hex = Buffer.from(value).toString('hex')
      const session = this.#sessionsById.get(hex)
      return session === undefined ? hex : `id(${session})`
    }
    if (typeof value !== 'object' || value === null) return String(value)
    return this.#names.get(value) ?? this.#name(value, this.#numbered(value))
  }

  #numbered(object: object): string {
    const kind =
      object instanceof SSL_SESSION
        ? 'session'
        : object instanceof SSL
          ? 'ssl'
          : object instanceof SSL_CTX
            ? 'ctx'
            : '?'
    const count = (this.#counts.get(kind) ?? 0) + 1
    this.#counts.set(kind, count)
    return `${kind}${count}`
  }

  #name(object: object, name: string): string {
    this.#names.set(object, name)
    if (object instanceof SSL_SESSION) this.#sessionsById.set(SSL_SESSION_get_id(object).toString('hex'), name)
    return name
  }
}

/**
 * Has the new and remove callbacks of a context tell a story. `answer` is what the new callback answers: with 1 the
 * array that is returned fills with the sessions, which are freed when the test ends.
 */
export function tellCaching(story: Story, ctx: SSL_CTX, answer: 0 | 1): SSL_SESSION[] {
  const kept: SSL_SESSION[] = []
  SSL_CTX_sess_set_new_cb(ctx, (ssl, session) => {
    story.tell('new', ssl, session)
    if (answer === 1) kept.push(keep(session))
    return answer
  })
  SSL_CTX_sess_set_remove_cb(ctx, (from, session) => story.tell('remove', from, session))
  return kept
}

/** Has the get callback of a context tell a story and answer what `find` answers. */
export function tellLookups(story: Story, ctx: SSL_CTX, find: (id: Buffer) => SSL_SESSION | null = () => null): void {
  SSL_CTX_sess_set_get_cb(ctx, (ssl, id) => {
    story.tell('get', ssl, id)
    return find(id)
  })
}
