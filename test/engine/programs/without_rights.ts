// Listens where only others may: on a path in a folder of somebody else's, and on a port that is reserved.

import { chmodSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Kind, makeServer } from './servers.js'
import { say, task } from './task.js'

const forbidden = join(task.folder as string, `forbidden-${task.kind}`)
mkdirSync(forbidden)
chmodSync(forbidden, 0o500)
const servers = [makeServer(task.kind as Kind), makeServer(task.kind as Kind)] as const
// The superuser may do everything.
if (process.getuid?.() === 0) process.setuid?.(65534)

const errors: object[] = []
function failed(error: NodeJS.ErrnoException): void {
  const { code, syscall, errno } = error
  errors.push({ code, syscall, errno })
  if (errors.length < servers.length) servers[1].listen(1, '127.0.0.1')
  else say(errors)
}
for (const server of servers) server.on('error', failed)
servers[0].listen(join(forbidden, 'x.sock'))
