// The type of listeners for events that a class does not declare. No code.

import type { EventEmitter } from 'node:events'

/** What Node's own classes accept for such events. */
export type AnyListener = Parameters<EventEmitter['on']>[1]
