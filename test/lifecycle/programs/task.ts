// What the test that runs this program asks of it: the JSON of the first argument. A worker thread gets the same.

import { isMainThread, workerData } from 'node:worker_threads'
import type { Task } from '../run.js'

export const task: Task = isMainThread ? JSON.parse(process.argv[2] ?? '{}') : workerData
