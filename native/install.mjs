// What `npm install` runs: nothing, when one of the prebuilt addons in the package runs on this machine; else it builds
// one here. `npm install --build-from-source` builds in any case, and so does an install in a checkout of the sources, which
// has no prebuilt ones.

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath, pathToFileURL } from 'node:url'

const packageFile = (name) => fileURLToPath(new URL(`../${name}`, import.meta.url))

/** Why none of the prebuilt addons will do; null when one does. */
function refusal() {
  const asked = ['build_from_source', 'openssl_root', 'openssl_static'].find(
    (name) => process.env[`npm_config_${name}`],
  )
  if (asked) return `as asked with --${asked.replace('build_from_source', 'build-from-source')}`
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
