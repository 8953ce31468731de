// The libssl layer as a whole: every promised name is there, typed, documented, and means what the C headers mean.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as libssl from 'openssl-session/libssl'
import { libsslExports, libsslFunctions, packageFolder } from '../support/libssl_api.js'
import { isPrebuilt } from '../support/versions.js'

const values: Readonly<Record<string, unknown>> = libssl

// What the package promises. A name that is not here, or is here and not there, is a change of the API.
const promisedFunctions = `
  TLS_method TLS_server_method TLS_client_method
  SSL_CTX_new SSL_CTX_free SSL_CTX_up_ref
  SSL_CTX_use_certificate SSL_CTX_use_PrivateKey SSL_CTX_use_certificate_file SSL_CTX_use_certificate_chain_file
  SSL_CTX_use_PrivateKey_file SSL_CTX_check_private_key SSL_CTX_add1_chain_cert SSL_CTX_clear_chain_certs
  SSL_CTX_get0_certificate SSL_CTX_load_verify_locations SSL_CTX_set_default_verify_paths SSL_CTX_get_cert_store
  SSL_CTX_add_client_CA SSL_CTX_set_verify SSL_CTX_set_verify_continue SSL_CTX_get_verify_mode
  SSL_CTX_set_verify_depth SSL_CTX_get_verify_depth SSL_CTX_set_cipher_list SSL_CTX_set_ciphersuites
  SSL_CTX_set1_groups_list SSL_CTX_set1_sigalgs_list SSL_CTX_set_dh_auto
  SSL_CTX_set_min_proto_version SSL_CTX_get_min_proto_version
  SSL_CTX_set_max_proto_version SSL_CTX_get_max_proto_version
  SSL_CTX_set_options SSL_CTX_clear_options SSL_CTX_get_options SSL_CTX_set_mode SSL_CTX_clear_mode SSL_CTX_get_mode
  SSL_CTX_set_security_level SSL_CTX_get_security_level SSL_CTX_set_alpn_protos SSL_CTX_set_alpn_select_protos
  SSL_CTX_set_quiet_shutdown SSL_CTX_get_quiet_shutdown SSL_CTX_set_keylog_callback SSL_CTX_get_keylog_callback
  SSL_CTX_set_cert_cb SSL_CTX_set_servername_accept

  SSL_CTX_set_session_cache_mode SSL_CTX_get_session_cache_mode SSL_CTX_sess_set_cache_size
  SSL_CTX_sess_get_cache_size SSL_CTX_set_timeout SSL_CTX_get_timeout SSL_CTX_set_session_id_context
  SSL_CTX_add_session SSL_CTX_remove_session SSL_CTX_flush_sessions
  SSL_CTX_flush_sessions_ex
  SSL_CTX_sess_set_new_cb SSL_CTX_sess_get_new_cb SSL_CTX_sess_set_remove_cb SSL_CTX_sess_get_remove_cb
  SSL_CTX_sess_set_get_cb SSL_CTX_sess_get_get_cb
  SSL_CTX_sess_number SSL_CTX_sess_connect SSL_CTX_sess_connect_good SSL_CTX_sess_connect_renegotiate
  SSL_CTX_sess_accept SSL_CTX_sess_accept_good SSL_CTX_sess_accept_renegotiate SSL_CTX_sess_hits
  SSL_CTX_sess_cb_hits SSL_CTX_sess_misses SSL_CTX_sess_timeouts SSL_CTX_sess_cache_full
  SSL_CTX_set_num_tickets SSL_CTX_get_num_tickets SSL_CTX_set_tlsext_ticket_keys SSL_CTX_get_tlsext_ticket_keys
  SSL_CTX_set_max_early_data SSL_CTX_get_max_early_data
  SSL_CTX_set_recv_max_early_data SSL_CTX_get_recv_max_early_data

  SSL_new SSL_free SSL_clear SSL_set_bio SSL_get_rbio SSL_get_wbio SSL_get_SSL_CTX SSL_set_SSL_CTX
  SSL_set_accept_state SSL_set_connect_state SSL_do_handshake SSL_accept SSL_connect SSL_renegotiate SSL_key_update
  SSL_new_session_ticket SSL_waiting_for_async SSL_waiting_session
  SSL_read SSL_peek SSL_write SSL_pending SSL_has_pending SSL_get_error SSL_want
  SSL_shutdown SSL_set_shutdown SSL_get_shutdown SSL_set_quiet_shutdown SSL_get_quiet_shutdown
  SSL_read_early_data SSL_write_early_data SSL_get_early_data_status SSL_set_max_early_data SSL_get_max_early_data
  SSL_set_session SSL_get_session SSL_get0_session SSL_get1_session SSL_session_reused SSL_set_session_id_context
  SSL_has_matching_session_id SSL_set_num_tickets SSL_get_num_tickets
  SSL_version SSL_get_version SSL_is_server SSL_is_init_finished SSL_in_init SSL_in_before SSL_state_string_long
  SSL_get0_group_name
  SSL_get_current_cipher SSL_CIPHER_get_name SSL_CIPHER_standard_name SSL_CIPHER_get_version SSL_CIPHER_get_bits
  SSL_CIPHER_get_id SSL_CIPHER_get_protocol_id SSL_set_cipher_list SSL_set_ciphersuites
  SSL_get_servername SSL_get_servername_type SSL_set_tlsext_host_name SSL_set_alpn_protos SSL_set_alpn_select_protos
  SSL_get0_alpn_selected
  SSL_get_verify_result SSL_set_verify SSL_set_verify_continue SSL_get_verify_mode
  SSL_get_peer_certificate SSL_get1_peer_certificate SSL_get_peer_cert_chain SSL_get0_verified_chain
  SSL_get_certificate SSL_set_max_send_fragment
  SSL_get_finished SSL_get_peer_finished SSL_export_keying_material
  SSL_set_options SSL_clear_options SSL_get_options SSL_set_mode SSL_clear_mode SSL_get_mode
  SSL_set_min_proto_version SSL_set_max_proto_version

  SSL_SESSION_new SSL_SESSION_free SSL_SESSION_up_ref SSL_SESSION_dup d2i_SSL_SESSION i2d_SSL_SESSION
  PEM_read_bio_SSL_SESSION PEM_write_bio_SSL_SESSION SSL_SESSION_print SSL_SESSION_print_keylog
  SSL_SESSION_get_id SSL_SESSION_set1_id SSL_SESSION_get0_id_context SSL_SESSION_set1_id_context
  SSL_SESSION_get_time_ex SSL_SESSION_set_time_ex
  SSL_SESSION_get_time SSL_SESSION_set_time SSL_SESSION_get_timeout SSL_SESSION_set_timeout
  SSL_SESSION_is_resumable SSL_SESSION_get_protocol_version SSL_SESSION_set_protocol_version
  SSL_SESSION_get0_cipher SSL_SESSION_set_cipher SSL_SESSION_get0_hostname SSL_SESSION_set1_hostname
  SSL_SESSION_get0_alpn_selected SSL_SESSION_set1_alpn_selected SSL_SESSION_get_max_fragment_length
  SSL_SESSION_get_compress_id SSL_SESSION_get0_peer SSL_SESSION_get_master_key SSL_SESSION_set1_master_key
  SSL_SESSION_has_ticket SSL_SESSION_get0_ticket SSL_SESSION_get_ticket_lifetime_hint
  SSL_SESSION_get0_ticket_appdata SSL_SESSION_set1_ticket_appdata
  SSL_SESSION_get_max_early_data SSL_SESSION_set_max_early_data

  X509_free X509_up_ref PEM_read_bio_X509 PEM_read_bio_X509_AUX PEM_write_bio_X509 d2i_X509 i2d_X509
  X509_check_issued X509_cmp X509_verify_cert_error_string X509_STORE_add_cert X509_STORE_set_flags
  EVP_PKEY_free EVP_PKEY_up_ref PEM_read_bio_PrivateKey d2i_PrivateKey EVP_PKEY_get_bits
  d2i_PKCS12 PKCS12_free PKCS12_parse

  BIO_s_mem BIO_new BIO_new_mem_buf BIO_up_ref BIO_free BIO_read BIO_write BIO_pending BIO_ctrl_pending BIO_wpending
  BIO_eof BIO_reset BIO_should_retry BIO_set_mem_eof_return

  ERR_get_error ERR_peek_error ERR_peek_last_error ERR_clear_error ERR_get_error_all ERR_error_string
  ERR_lib_error_string ERR_reason_error_string ERR_GET_LIB ERR_GET_REASON
  OpenSSL_version OpenSSL_version_num ASYNC_is_capable

  leaks runtime
`
  .trim()
  .split(/\s+/)

const promisedClasses = [
  'BIO',
  'BIO_METHOD',
  'EVP_PKEY',
  'PKCS12',
  'SSL',
  'SSL_CIPHER',
  'SSL_CTX',
  'SSL_METHOD',
  'SSL_SESSION',
  'X509',
  'X509_STORE',
]

// Constants are promised by family: whatever the headers define under these names, the package has.
const promisedConstants = new RegExp(
  `^(${[
    'SSL_SESS_CACHE_\\w+',
    'SSL_OP_(?!BIT$)\\w+',
    'SSL_MODE_\\w+',
    'SSL_ERROR_\\w+',
    'SSL_VERIFY_\\w+',
    '(SSL3|TLS1|TLS1_1|TLS1_2|TLS1_3)_VERSION',
    'SSL_FILETYPE_\\w+',
    'SSL_(READ_)?EARLY_DATA_\\w+',
    'SSL_(SENT|RECEIVED)_SHUTDOWN',
    'SSL_(NOTHING|READING|WRITING|X509_LOOKUP|ASYNC_PAUSED|ASYNC_NO_JOBS|CLIENT_HELLO_CB|RETRY_VERIFY)',
    'SSL_KEY_UPDATE_\\w+',
    'SSL_TICKET_\\w+',
    'TLSEXT_NAMETYPE_host_name',
    'X509_V_(OK|ERR_\\w+)',
    'X509_V_FLAG_CRL_CHECK(_ALL)?',
    'SSL_MAX_(SSL_SESSION_ID|SID_CTX)_LENGTH',
    'SSL_SESSION_CACHE_MAX_SIZE_DEFAULT',
    'ERR_LIB_SSL',
    'OPENSSL_(VERSION|CFLAGS|BUILT_ON|PLATFORM|DIR|ENGINES_DIR|VERSION_STRING|FULL_VERSION_STRING|MODULES_DIR|CPU_INFO|WINCTX)',
  ].join('|')})$`,
)

const headers = ['openssl/ssl.h', 'openssl/err.h', 'openssl/x509_vfy.h', 'openssl/crypto.h']

/** What the C compiler finds in the system's headers: every macro of the promised families, with its value. */
function constantsInHeaders(): { version: number; constants: Map<string, number> } {
  const folder = mkdtempSync(join(tmpdir(), 'openssl-session-constants-'))
  const cc = process.env.CC ?? 'cc'
  const flags = execFileSync('pkg-config', ['--cflags', 'openssl'], { encoding: 'utf8' }).split(/\s+/).filter(Boolean)
  const includes = headers.map((header) => `#include <${header}>\n`).join('')
  const source = join(folder, 'constants.c')
  const program = join(folder, 'constants')
  try {
    writeFileSync(source, includes)
    const macros = execFileSync(cc, [...flags, '-dM', '-E', source], { encoding: 'utf8' })
    const names = [...macros.matchAll(/^#define (\w+)[ \n]/gm)].map((match) => match[1] as string)
    const wanted = names.filter((name) => promisedConstants.test(name))
    // A mask with its highest bit set is a positive number in JavaScript, so a signed `int` may not extend its sign.
    const lines = wanted.map((name) => `  printf("${name} %lld\\n", (long long)(${name}));\n`).join('')
    const version = '  printf("version %lld\\n", (long long)OPENSSL_VERSION_NUMBER);\n'
    writeFileSync(source, `${includes}#include <stdio.h>\nint main(void) {\n${version}${lines}  return 0;\n}\n`)
    execFileSync(cc, [...flags, source, '-o', program])
    const output = execFileSync(program, { encoding: 'utf8' }).trim().split('\n')
    const constants = new Map(output.map((line) => line.split(' ') as [string, string]).map(([n, v]) => [n, Number(v)]))
    const number = constants.get('version')
    constants.delete('version')
    return { version: number ?? 0, constants }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** Names and types of everything that the addon itself exports, found in a fresh process by watching it being loaded. */
function addonExports(): Record<string, string> {
  const script = `
    const dlopen = process.dlopen
    let addon
    process.dlopen = (module, ...rest) => { dlopen.call(process, module, ...rest); addon = module.exports }
    await import('openssl-session/libssl')
    const classes = ${JSON.stringify(promisedClasses)}
    const kind = (name) => classes.includes(name) ? 'class' : typeof addon[name]
    const libssl = Object.keys(addon).filter((name) => typeof addon[name] !== 'object')
    console.log(JSON.stringify(Object.fromEntries(libssl.map((name) => [name, kind(name)]))))`
  const run = execFileSync(process.execPath, ['--input-type=module', '-e', script], { cwd: packageFolder })
  return JSON.parse(run.toString())
}

describe('the exports of openssl-session/libssl', () => {
  const described = libsslExports()
  const named = (kind: string) => described.filter((exported) => exported.kind === kind).map(({ name }) => name)

  it('are the promised functions, no more and no fewer', () => {
    assert.deepEqual(named('function').sort(), [...promisedFunctions].sort())
  })

  it('are the promised handle classes, no more and no fewer', () => {
    assert.deepEqual(named('class').sort(), [...promisedClasses].sort())
  })

  it('all have a doc comment that says something and names its source', () => {
    const bare = described.filter(({ documentation, see }) => documentation.length < 10 || see.length === 0)
    assert.deepEqual(
      bare.map(({ name }) => name),
      [],
    )
  })

  it('are everything that the addon exports', () => {
    const addon = addonExports()
    const typed = Object.fromEntries(
      described
        .filter(({ name, kind }) => kind !== 'type' && values[name] !== undefined)
        .map(({ name, kind }) => [name, kind === 'constant' ? 'number' : kind]),
    )
    assert.deepEqual(addon, typed)
  })

  it('are functions under their own names', () => {
    for (const { name, optional } of libsslFunctions()) {
      const value = values[name]
      if (value === undefined && optional) continue
      assert.equal(typeof value, 'function', name)
      assert.equal((value as { name: string }).name, name)
    }
  })

  // By what the library is, whatever the headers were: the addon looks for them when it is loaded.
  const later = {
    SSL_new_session_ticket: '3.0',
    SSL_get0_group_name: '3.2',
    SSL_SESSION_get_time_ex: '3.3',
    SSL_SESSION_set_time_ex: '3.3',
    SSL_CTX_flush_sessions_ex: '3.4',
  }
  for (const [name, version] of Object.entries(later)) {
    it(`lack ${name} before OpenSSL ${version} and have it since`, () => {
      const [major = 0, minor = 0] = version.split('.').map(Number)
      const has = libssl.OpenSSL_version_num() >= major * 2 ** 28 + minor * 2 ** 20
      assert.equal(typeof values[name], has ? 'function' : 'undefined')
    })
  }

  it('include handle classes that cannot be constructed', () => {
    for (const name of promisedClasses) {
      const handleClass = values[name] as new () => unknown
      assert.equal(typeof handleClass, 'function', name)
      assert.throws(() => new handleClass(), TypeError, name)
      assert.throws(() => Reflect.construct(handleClass, [], Object), TypeError, name)
      class Derived extends (handleClass as new () => object) {}
      assert.throws(() => new Derived(), TypeError, name)
    }
  })
})

describe('the constants of openssl-session/libssl', () => {
  const inHeaders = constantsInHeaders()
  const described = libsslExports().filter(({ kind }) => kind === 'constant')

  it('were compiled from the headers that this test reads', function () {
    if (isPrebuilt) this.skip()
    assert.equal(libssl.runtime().headerVersionNumber, inHeaders.version)
  })

  it('have the values of the system headers', () => {
    // A prebuilt addon has the constants of the oldest version that it is for.
    const known = [...inHeaders.constants].filter(([name]) => !isPrebuilt || values[name] !== undefined)
    const differing = known.filter(([name, value]) => values[name] !== value)
    assert.deepEqual(
      differing.map(([name, value]) => `${name} is ${value} in C, ${values[name]} here`),
      [],
    )
  })

  it('that the headers lack are undefined, and their types say so', () => {
    const missing = described.filter(({ name }) => !inHeaders.constants.has(name))
    assert.deepEqual(
      missing.filter(({ optional }) => !optional).map(({ name }) => name),
      [],
    )
    assert.deepEqual(
      missing.filter(({ name }) => values[name] !== undefined).map(({ name }) => name),
      [],
    )
  })
})
