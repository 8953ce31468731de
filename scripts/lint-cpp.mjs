// Checks the C++ sources: clang-format for their looks, clang-tidy for mistakes, with the flags of the real build.
//
//   node scripts/lint-cpp.mjs          reports, exits with 1 when there is something to report
//   node scripts/lint-cpp.mjs --fix    formats the sources in place instead

import { execFile, spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { hasProgram, installCommand } from '../native/toolchain.mjs'

process.chdir(dirname(dirname(fileURLToPath(import.meta.url))))
const buildFolder = join('build', 'cmake')

const clangTools = { dnf: 'clang-tools-extra', apk: 'clang-extra-tools', brew: 'llvm' }

/** The name under which the system offers a tool, plain or with its newest version. */
function find(tool, packages = {}) {
  const versions = Array.from({ length: 20 }, (_, index) => `${tool}-${33 - index}`)
  const found = [tool, ...versions].find(hasProgram)
  if (found) return found
  const command = installCommand([{ 'apt-get': tool, dnf: tool, apk: tool, brew: tool, ...packages }])
  throw new Error(`${tool} is missing.${command ? ` Install it with:\n\n  ${command}\n` : ''}`)
}

function run(command, args, stdio = 'inherit') {
  const { status, error } = spawnSync(command, args, { stdio })
  if (error) throw error
  return status === 0
}

/** Writes compile_commands.json, which holds the flags of each source. */
function configure() {
  find('cmake')
  const args = ['cmake-js', 'configure', '--directory', 'native', '--out', buildFolder]
  const { status, stdout, stderr } = spawnSync('npx', ['--no', ...args], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${args.join(' ')} failed:\n${stdout}${stderr}`)
}

/** Runs clang-tidy over the sources, as many at a time as there are processors. Returns those with findings. */
async function tidy(program) {
  const commands = JSON.parse(readFileSync(join(buildFolder, 'compile_commands.json'), 'utf8'))
  const queue = commands.map(({ file }) => file)
  const faulty = []
  const worker = async () => {
    for (let file = queue.shift(); file; file = queue.shift()) {
      try {
        await promisify(execFile)(program, ['--quiet', '-p', buildFolder, file], { maxBuffer: 1 << 26 })
      } catch (error) {
        faulty.push(file)
        console.error(error.stdout || error.message)
      }
    }
  }
  await Promise.all(Array.from({ length: availableParallelism() }, worker))
  return faulty
}

async function main() {
  const sources = ['native', 'bench'].flatMap((folder) =>
    readdirSync(folder, { recursive: true })
      .filter((name) => /\.(cc|h)$/.test(name))
      .map((name) => join(folder, name)),
  )
  const clangFormat = find('clang-format', clangTools)
  if (process.argv.includes('--fix')) return run(clangFormat, ['-i', ...sources])
  const clangTidy = find('clang-tidy', clangTools)
  const formatted = run(clangFormat, ['--dry-run', '-Werror', ...sources])
  configure()
  const faulty = await tidy(clangTidy)
  if (!formatted) console.error('Some sources are not formatted: npm run format')
  if (faulty.length > 0) console.error(`clang-tidy found something in:\n${faulty.join('\n')}`)
  return formatted && faulty.length === 0
}

try {
  if (!(await main())) process.exitCode = 1
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
}
