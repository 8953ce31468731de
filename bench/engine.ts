// What the engine costs beside node:tls and a bare C server, on this machine and in this run: ratios, medians of
// several rounds, next to the targets that they were built for. Linux only.
//
//   npm run bench:engine                                  everything, in about a quarter of an hour
//   npm run bench:engine -- tls12-resumed --rounds 2      one scenario (or several), with fewer rounds
//   npm run bench:engine -- --quick                       a first impression: one round, shorter
//   npm run bench:engine -- --threads 1                   another number of engine threads than two
//
// It exits with 0 when it ran through: targets are reported, not enforced. How servers and clients are made is in engine/.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Rig } from './engine/rig.js'
import { type Figure, type Scenario, scenarios, type Values } from './engine/scenarios.js'
import { compile, describeMachine, fileLimit, makeCredentials, pin, requirePrograms } from './engine/setup.js'

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string' },
    threads: { type: 'string', default: '2' },
    quick: { type: 'boolean', default: false },
  },
})

/** The line that a figure ends as. */
interface Result {
  scenario: string
  figure: string
  median: number
  range: string
  target: string
  met: string
}

function median(numbers: number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  const at = (place: number): number => Number(sorted[Math.floor(place)])
  return (at((numbers.length - 1) / 2) + at(numbers.length / 2)) / 2
}

const rounded = (number: number): number => Number(number.toFixed(number >= 100 ? 0 : number >= 10 ? 1 : 2))

function conclude(scenario: Scenario, figure: Figure, rounds: Values[]): Result {
  const numbers = rounds.map((values) => figure.of(values))
  const middle = median(numbers)
  const { target } = figure
  const met = 'atMost' in target ? middle <= target.atMost : middle >= target.atLeast
  return {
    scenario: scenario.name,
    figure: figure.title,
    median: rounded(middle),
    range: `${rounded(Math.min(...numbers))} to ${rounded(Math.max(...numbers))}`,
    target: 'atMost' in target ? `at most ${target.atMost}` : `at least ${target.atLeast}`,
    met: met ? 'yes' : 'NO',
  }
}

async function measure(scenario: Scenario, rig: Rig, count: number): Promise<Result[]> {
  console.log(`\n${scenario.name}: ${scenario.about}`)
  const rounds: Values[] = []
  for (let turn = 0; turn < count; turn++) {
    const began = performance.now()
    rounds.push(await scenario.round(rig, turn))
    console.log(`  round ${turn + 1} of ${count}: ${rounded((performance.now() - began) / 1000)} s`)
  }
  const rows = Object.keys(rounds[0] ?? {}).map((name) => {
    const numbers = rounds.map((values) => Number(values[name]))
    const columns = numbers.map((number, turn) => [`round ${turn + 1}`, rounded(number)])
    return [name, { ...Object.fromEntries(columns), median: rounded(median(numbers)) }]
  })
  console.table(Object.fromEntries(rows))
  return scenario.figures.map((figure) => conclude(scenario, figure, rounds))
}

function choose(): Scenario[] {
  const unknown = positionals.find((name) => !scenarios.some((scenario) => scenario.name === name))
  if (unknown) throw new Error(`There is no ${unknown}; there are ${scenarios.map(({ name }) => name).join(', ')}.`)
  return scenarios.filter(({ name }) => positionals.length === 0 || positionals.includes(name))
}

async function main(): Promise<void> {
  if (process.platform !== 'linux') throw new Error('The benchmark uses epoll and /proc: it runs on Linux only.')
  const chosen = choose()
  const rounds = Number(options.rounds ?? (options.quick ? 1 : 5))
  const threads = Number(options.threads)
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error('--rounds takes a whole number from 1.')
  if (!Number.isInteger(threads) || threads < 0) throw new Error('--threads takes a whole number from 0.')
  const needs = (name: string): boolean => chosen.some((scenario) => scenario.name === name)
  requirePrograms(needs('http') ? [] : ['wrk'])
  if (needs('idle') && (await fileLimit()) < 10_500) throw new Error('idle opens 10,000 connections: ulimit -Hn 10500')
  for (const text of await describeMachine(await pin())) console.log(text)
  const folder = mkdtempSync(join(tmpdir(), 'bench-engine-'))
  try {
    const rig = new Rig({
      load: await compile('load'),
      peer: await compile('peer'),
      ecdsa: await makeCredentials(folder, ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256']),
      rsa: await makeCredentials(folder, ['rsa:4096']),
      threads,
      scale: options.quick ? 0.4 : 1,
    })
    const results: Result[] = []
    for (const scenario of chosen) {
      try {
        results.push(...(await measure(scenario, rig, rounds)))
      } catch (error) {
        process.exitCode = 1
        console.log(`  not measured: ${(error as Error).message}`)
      }
    }
    if (results.length === 0) return
    console.log('\nopenssl-session, medians of the ratios of each round:')
    console.table(results)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

try {
  await main()
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = 1
}
