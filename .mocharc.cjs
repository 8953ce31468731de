// How mocha runs the tests: with what settings, and in what environment.

// The tests choose whom they trust. What somebody's environment adds takes every Node and every OpenSSL that they start a
// tenth of a second to read.
for (const name of ['NODE_EXTRA_CA_CERTS', 'SSL_CERT_DIR', 'SSL_CERT_FILE']) delete process.env[name]

module.exports = { jobs: 4, timeout: 120_000, slow: 2000, 'enable-source-maps': true }
