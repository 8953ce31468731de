// The engine as the rest of the package uses it. Internal.

export * from './connection.js'
export * from './dispatch.js'
export * from './functions.js'
export * from './listener.js'
