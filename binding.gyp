# The addon, built by node-gyp. What depends on the machine is answered by native/configure.mjs.
#   --openssl_root=DIR     the OpenSSL installed under DIR instead of the system's
#   --openssl_static=true  OpenSSL inside the addon, its symbols hidden, instead of the shared library
{
  'variables': {
    'openssl_root%': '',
    'openssl_static%': 'false',
  },
  'targets': [{
    'target_name': 'openssl_session',
    'sources': ['<!@(node native/configure.mjs units)'],
    # Node's include folder holds a copy of OpenSSL's headers, which would come first and win. It is taken off the path;
    # a folder of links to the other headers stands in for it (see nodeHeaders in native/configure.mjs).
    'include_dirs/': [
      ['exclude', 'include/node$'],
      ['exclude', 'deps/openssl'],
    ],
    'include_dirs': [
      '<!@(node native/configure.mjs addon-api)',
      '<!@(node native/configure.mjs node-headers --node-root=<(node_root_dir))',
      '<!@(node native/configure.mjs openssl-headers --root=<(openssl_root))',
    ],
    'libraries': ['<!@(node native/configure.mjs libraries --root=<(openssl_root) --static=<(openssl_static))'],
    'defines': [
      'NAPI_VERSION=9',
      'NAPI_CPP_EXCEPTIONS',
      'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS',
      'NODE_ADDON_API_DISABLE_DEPRECATED',
      # What later versions call deprecated is still offered: users see the API of 3.0 whichever headers this is built with.
      'OPENSSL_API_COMPAT=30000',
      'OPENSSL_SESSION_EXPECTED_VERSION="<!(node native/configure.mjs version --root=<(openssl_root))"',
    ],
    'cflags!': ['-Wno-unused-parameter'],
    # -g1: enough for valgrind and gdb to name source lines.
    # -iquote, not -I: <openssl/types.h> must never find a file of native/openssl/.
    'cflags': ['-iquote', '<(module_root_dir)/native', '-Wall', '-Wextra', '-Werror', '-fvisibility=hidden', '-g1'],
    'cflags_cc!': ['-fno-exceptions', '-fno-rtti', '-std=gnu++17', '-std=gnu++20'],
    'cflags_cc': ['-std=c++20', '-fvisibility-inlines-hidden'],
    # libcrypto keeps pointers to functions of the addon. Node unloads an addon with the last thread that uses it.
    # Nobody else in the process may see an OpenSSL inside the addon, nor may it see theirs.
    'conditions': [['OS=="linux"', {
      'ldflags': ['-Wl,-z,nodelete', '-Wl,--version-script=<(module_root_dir)/native/exports.map'],
    }]],
    'xcode_settings': {
      'CLANG_CXX_LANGUAGE_STANDARD': 'c++20',
      'GCC_ENABLE_CPP_EXCEPTIONS': 'YES',
      'GCC_ENABLE_CPP_RTTI': 'YES',
      'GCC_SYMBOLS_PRIVATE_EXTERN': 'YES',
      'WARNING_CFLAGS': ['-Wall', '-Wextra', '-Werror'],
    },
  }],
}
