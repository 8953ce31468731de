// What the test that runs this program asks of it, and how the two talk. A worker thread gets the same task.

import { isMainThread, workerData } from 'node:worker_threads'

export interface Task {
  readonly cert: string
  readonly key: string
  readonly ca: string
  readonly [parameter: string]: unknown
}

export const task: Task = isMainThread ? JSON.parse(process.argv[2] ?? '{}') : workerData

export function say(message: unknown): void {
  process.send?.(message)
}

/** Resolves with what the test says next. */
export function told(): Promise<string> {
  return new Promise((resolve) => process.once('message', (message) => resolve(String(message))))
}
