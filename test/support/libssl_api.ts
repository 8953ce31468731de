// What lib/libssl.ts exports, as the TypeScript compiler sees it: names, types of parameters and results, doc comments.
// Tests that hold for every export are generated from it.

import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as libssl from 'openssl-session/libssl'
import {
  API,
  type Checker,
  type Symbol as Named,
  SignatureKind,
  SymbolFlags,
  type Type,
} from 'typescript/unstable/sync'

export interface Parameter {
  readonly name: string
  /** The alternatives of its type, by name: `SSL_CTX`, `number`, `Uint8Array`, `null` and so on. */
  readonly types: readonly string[]
}

export interface ExportedName {
  readonly name: string
  readonly kind: 'function' | 'constant' | 'class' | 'type'
  /** Whether it may be undefined, because some versions of libssl have it not. */
  readonly optional: boolean
  readonly documentation: string
  /** The texts of its `@see` tags. */
  readonly see: readonly string[]
}

export interface ExportedFunction extends ExportedName {
  readonly kind: 'function'
  readonly parameters: readonly Parameter[]
  /** The alternatives of its result's type, by name. */
  readonly returns: readonly string[]
}

/** The folder with package.json, from build/test/support/ where this file runs. */
export const packageFolder = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..')

/** Every export of lib/libssl.ts, types included. */
export function libsslExports(): (ExportedName | ExportedFunction)[] {
  const api = new API({ cwd: packageFolder })
  try {
    const config = join(packageFolder, 'tsconfig.json')
    const project = api.updateSnapshot({ openProjects: [config] }).getProject(config)
    const file = project?.program.getSourceFile(join(packageFolder, 'lib', 'libssl.ts'))
    if (!project || !file) throw new Error('tsconfig.json has no lib/libssl.ts')
    const module = project.checker.getSymbolAtLocation(file)
    if (!module) throw new Error('lib/libssl.ts is no module')
    return project.checker.getExportsOfModule(module).map((symbol) => describeExport(project.checker, symbol))
  } finally {
    api.close()
  }
}

/** Every function that lib/libssl.ts exports and that the libssl at hand has. */
export function presentFunctions(): ExportedFunction[] {
  return libsslFunctions().filter(({ name }) => (libssl as Readonly<Record<string, unknown>>)[name] !== undefined)
}

/** Every function that lib/libssl.ts exports. */
export function libsslFunctions(): ExportedFunction[] {
  return libsslExports().filter((exported) => exported.kind === 'function') as ExportedFunction[]
}

function describeExport(checker: Checker, exported: Named): ExportedName | ExportedFunction {
  const symbol = exported.flags & SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported
  const type = symbol.flags & SymbolFlags.Value ? checker.getTypeOfSymbol(symbol) : undefined
  const present = type && checker.getNonNullableType(type)
  const described = {
    name: exported.name,
    optional: type !== undefined && alternatives(checker, type).includes('undefined'),
    documentation: symbol.getDocumentationComment(checker),
    see: symbol.getJsDocTags(checker).flatMap((tag) => (tag.name === 'see' ? [tag.text ?? ''] : [])),
  }
  if (!present) return { ...described, kind: 'type' }
  if (checker.typeToString(present) === 'number') return { ...described, kind: 'constant' }
  const signature = checker.getSignaturesOfType(present, SignatureKind.Call)[0]
  if (!signature) return { ...described, kind: 'class' }
  const parameters = signature.getParameters().map((parameter) => ({
    name: parameter.name,
    types: alternatives(checker, checker.getTypeOfSymbol(parameter)),
  }))
  return {
    ...described,
    kind: 'function',
    parameters,
    returns: alternatives(checker, checker.getReturnTypeOfSignature(signature)),
  }
}

function alternatives(checker: Checker, type: Type | undefined): string[] {
  if (!type) throw new Error('a type that the compiler does not know')
  const members = type.isUnionType() ? type.getTypes() : [type]
  // Uint8Array<ArrayBufferLike> and Buffer<ArrayBufferLike> are known by their first names.
  return members.map((member) => checker.typeToString(member).replace(/<ArrayBufferLike>$/, ''))
}
