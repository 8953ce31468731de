// Calls one function with every bad argument in every place, and with good ones in every combination of odd states.

import { isUint8Array } from 'node:util/types'
import type { ExportedFunction, Parameter } from '../libssl_api.js'
import { times } from '../thorough.js'
import { type Calls, type Expectation, freed, outOfRange, tolerated, wrongType, wrongValue } from './calls.js'
import type { Specimens } from './specimens.js'
import { anything, byteArrays, numbers, otherArrays, type Specimen, strings } from './values.js'

export async function misuseArguments(f: ExportedFunction, calls: Calls, specimens: Specimens): Promise<void> {
  const { parameters } = f
  const ordinary = () => specimens.ordinary(parameters)
  calls.attempt(f, 'ordinary arguments', ordinary(), tolerated)
  calls.attempt(f, 'more arguments than it has', [...ordinary(), 1, 'two', {}], tolerated)
  const again = ordinary()
  calls.attempt(f, 'ordinary arguments, to be used again', again, tolerated)
  calls.attempt(f, 'the same arguments a second time', again, tolerated)
  for (let count = 0; count < parameters.length; count++) {
    calls.attempt(f, `only ${count} of ${parameters.length} arguments`, ordinary().slice(0, count), wrongType)
  }
  // A call that is refused leaves the rest of its arguments as they were.
  let unused: unknown[] | undefined
  parameters.forEach((parameter, index) => {
    for (const [specimen, expectation] of badValues(parameter, specimens)) {
      unused ??= ordinary()
      calls.attempt(f, `${parameter.name} = ${specimen.label}`, unused.with(index, specimen.make()), expectation)
      if (expectation.orReturn) unused = undefined
    }
  })
  for (const [label, args] of oddStates(f, specimens)) calls.attempt(f, label, args, tolerated)
}

/** Whether a value of `anything()` happens to be of one of the parameter's types. */
function fits(value: unknown, { types }: Parameter): boolean {
  return types.some((type) => {
    if (type.endsWith('Callback')) return typeof value === 'function'
    if (type === 'null') return value === null
    if (type === 'Uint8Array') return isUint8Array(value)
    // Handles are not among those specimens.
    return typeof value === type
  })
}

/** Every bad value for one parameter, with what it has to lead to. */
function* badValues(parameter: Parameter, specimens: Specimens): Generator<[Specimen, Expectation]> {
  for (const specimen of anything()) {
    if (!fits(specimen.make(), parameter)) yield [specimen, wrongType]
  }
  for (const type of parameter.types) {
    for (const specimen of specimens.dead(type)) yield [specimen, freed]
    for (const specimen of specimens.impostors(type)) yield [specimen, wrongType]
    if (type === 'number') {
      const { integers, others } = numbers()
      for (const specimen of integers) yield [specimen, tolerated]
      for (const specimen of others) yield [specimen, outOfRange]
    } else if (type === 'string') {
      const { withNul, others } = strings()
      for (const specimen of withNul) yield [specimen, wrongValue]
      for (const specimen of others) yield [specimen, tolerated]
    } else if (type === 'Uint8Array') {
      for (const specimen of byteArrays()) yield [specimen, tolerated]
      for (const specimen of otherArrays()) yield [specimen, wrongType]
    }
  }
  const own = parameter.types.find((type) => type !== 'null') ?? ''
  for (const specimen of specimens.foreigners(own)) yield [specimen, wrongType]
}

/** Good arguments in every combination of the states that they can be in; of those one in forty, when time is short. */
function* oddStates(f: ExportedFunction, specimens: Specimens): Generator<[string, unknown[]]> {
  let number = 0
  for (const chosen of combinations(f, specimens)) {
    if (chosen.length === 0 || number++ % times(1, 40) !== 0) continue
    const make = (): unknown[] => chosen.map((specimen) => specimen.make())
    const label = chosen.map((specimen, index) => `${f.parameters[index]?.name} = ${specimen.label}`).join(', ')
    yield [label, make()]
    const [first, second] = f.parameters
    if (!second || first?.types[0] !== second.types[0]) continue
    // One object in two places.
    const args = make()
    yield [`${label}; the first in both places`, [args[0], args[0], ...args.slice(2)]]
  }
}

function* combinations(
  f: ExportedFunction,
  specimens: Specimens,
  chosen: readonly Specimen[] = [],
): Generator<readonly Specimen[]> {
  const parameter = f.parameters[chosen.length]
  if (!parameter) yield chosen
  else for (const specimen of specimens.goodFor(parameter)) yield* combinations(f, specimens, [...chosen, specimen])
}
