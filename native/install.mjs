// What `npm install` runs: nothing, when one of the prebuilt addons in the package runs on this machine; else it builds
// one here. OPENSSL_SESSION_BUILD_FROM_SOURCE=1 has it built in any case, and so have an OpenSSL of one's own to build against
// (see native/build.mjs) and an install in a checkout of the sources, which has no prebuilt ones.

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { requestToBuild } from './build.mjs'

const packageFile = (name) => fileURLToPath(new URL(`../${name}`, import.meta.url))

/** Why none of the prebuilt addons will do; null when one does. */
function refusal() {
  const asked = requestToBuild()
  if (asked) return `as asked with ${asked}`
  if (!existsSync(packageFile('prebuilds'))) return 'this is a checkout of its sources'
  const loading = `import(${JSON.stringify(pathToFileURL(packageFile('dist/native.js')).href)})
    .catch((error) => { console.error(error.message); process.exit(1) })`
  const { status, stderr } = spawnSync(process.execPath, ['--eval', loading], { encoding: 'utf8' })
  return status === 0 ? null : stderr.trim()
}

const why = refusal()
if (why !== null) {
  console.log(`openssl-session builds its addon here: ${why}`)
  const build = [packageFile('native/build.mjs'), ...process.argv.slice(2)]
  process.exitCode = spawnSync(process.execPath, build, { stdio: 'inherit' }).status ?? 1
}
