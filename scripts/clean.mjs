// Removes everything that a build made. node_modules stays.

import { rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

for (const folder of ['build', 'dist', 'prebuilds']) {
  rmSync(fileURLToPath(new URL(`../${folder}`, import.meta.url)), { recursive: true, force: true })
}
