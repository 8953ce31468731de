// The main job, shown: sessions that outlive the process that made them. Two server processes share one LMDB file, the
// real `openssl s_client` roams between them, they are killed and come back, and their store goes away. Exits 0 only if
// every connection was resumed, or not, as it should be.

import { PROTOCOLS, Stage } from './stage.js'

const stage = new Stage(120_000)
const storeFile = stage.file('sessions.mdb')

async function main(): Promise<void> {
  console.log('Two server processes share one LMDB file')
  let first = await stage.startServer('server-1', storeFile)
  let second = await stage.startServer('server-2', storeFile)
  for (const protocol of PROTOCOLS) {
    await stage.attempt({ tried: 'open a session', server: first, protocol, expect: 'full', keep: 'a' })
    await stage.attempt({
      tried: 'resume it in the other process',
      server: second,
      protocol,
      expect: 'reused',
      propose: 'a',
    })
    await stage.attempt({ tried: 'open another session', server: second, protocol, expect: 'full', keep: 'b' })
  }

  console.log('Both are killed and restarted')
  await stage.kill(first)
  await stage.kill(second)
  first = await stage.startServer('server-1', storeFile)
  second = await stage.startServer('server-2', storeFile)
  for (const protocol of PROTOCOLS) {
    await stage.attempt({ tried: 'resume after the restart', server: first, protocol, expect: 'reused', propose: 'b' })
  }

  console.log('A TLS 1.3 session is good for one connection')
  const protocol = 'TLSv1.3'
  await stage.attempt({ tried: 'open a session', server: first, protocol, expect: 'full', keep: 'c' })
  await stage.attempt({ tried: 'use it', server: second, protocol, expect: 'reused', propose: 'c' })
  await stage.attempt({ tried: 'use it again', server: second, protocol, expect: 'full', propose: 'c' })
  await stage.kill(first)
  await stage.kill(second)

  console.log('Two server processes whose store cannot be reached')
  first = await stage.startServer('server-1', 'unreachable')
  second = await stage.startServer('server-2', 'unreachable')
  for (const protocol of PROTOCOLS) {
    await stage.attempt({ tried: 'open, store down', server: first, protocol, expect: 'full', keep: 'd' })
    await stage.attempt({ tried: 'resume, store down', server: second, protocol, expect: 'full', propose: 'd' })
  }
  await stage.kill(first)
  await stage.kill(second)
}

await stage.play(main, () => ({
  text: `The unreachable store was reported ${stage.storeErrors} times and failed no handshake.`,
  ok: stage.storeErrors > 0,
}))
