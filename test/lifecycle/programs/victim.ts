// A worker thread that gets into the state it was asked for, tells, and stays in it until it is ended from outside.

import { parentPort } from 'node:worker_threads'
import type { Protocol } from '../endpoints.js'
import {
  actInside,
  actInsideFromLoop,
  answeredHandshake,
  callbacks,
  pausedHandshakes,
  type State,
  workForEver,
} from './interrupt.js'
import { task } from './task.js'

const ready = () => parentPort?.postMessage('ready')
const stayForEver = () => {
  ready()
  for (;;);
}

const protocol = task.protocol as Protocol
const state = task.state as State

if (parentPort) {
  const inside = callbacks.find((name) => state === `inside the ${name} callback`)
  if (inside) await actInside(inside, task, protocol, stayForEver)
  else if (state === 'inside a callback made by the event loop, others waiting') {
    await actInsideFromLoop(task, protocol, stayForEver)
  } else if (state === 'handshakes being done') {
    ready()
    await workForEver(task)
  } else {
    if (state === 'an answer that has come and was not fetched') await answeredHandshake(task, protocol)
    else await pausedHandshakes(task, protocol)
    setInterval(() => {}, 1000)
    ready()
  }
}
