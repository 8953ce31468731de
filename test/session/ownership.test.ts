// Who owns what: counts of references, what is borrowed and until when, and which JavaScript object stands for which C
// object. What the garbage collector does for those who forget is in garbage.test.ts.

import assert from 'node:assert/strict'
import {
  BIO_free,
  BIO_new,
  BIO_new_mem_buf,
  BIO_pending,
  BIO_s_mem,
  BIO_up_ref,
  BIO_write,
  d2i_SSL_SESSION,
  EVP_PKEY_free,
  EVP_PKEY_get_bits,
  EVP_PKEY_up_ref,
  i2d_SSL_SESSION,
  PEM_read_bio_PrivateKey,
  PEM_read_bio_X509,
  SSL_CTX_add_session,
  SSL_CTX_flush_sessions,
  SSL_CTX_free,
  SSL_CTX_get_cert_store,
  SSL_CTX_get_timeout,
  SSL_CTX_get0_certificate,
  SSL_CTX_new,
  SSL_CTX_sess_set_new_cb,
  SSL_CTX_sess_set_remove_cb,
  SSL_CTX_set_session_cache_mode,
  SSL_CTX_up_ref,
  SSL_free,
  SSL_get_certificate,
  SSL_get_current_cipher,
  SSL_get_rbio,
  SSL_get_SSL_CTX,
  SSL_get_wbio,
  SSL_get0_session,
  SSL_get1_peer_certificate,
  SSL_get1_session,
  SSL_new,
  SSL_SESS_CACHE_SERVER,
  type SSL_SESSION,
  SSL_SESSION_dup,
  SSL_SESSION_free,
  SSL_SESSION_get_id,
  SSL_SESSION_get0_cipher,
  SSL_SESSION_get0_peer,
  SSL_SESSION_new,
  SSL_SESSION_up_ref,
  SSL_set_bio,
  SSL_set_SSL_CTX,
  TLS_method,
  TLS1_2_VERSION,
  TLS1_3_VERSION,
  type X509,
  X509_cmp,
  X509_free,
  X509_STORE_set_flags,
  X509_up_ref,
} from 'openssl-session/libssl'
import { leaveNothingBehind, live, owned } from '../support/accounts.js'
import { readCredential } from '../support/credentials.js'
import { externalCache } from '../support/external_cache.js'
import { clientContext, connect, endpoint, inEachProtocol, keep, present, serverContext } from '../support/peers.js'

const certificate = () => {
  const bio = present(BIO_new_mem_buf(readCredential('certFile')))
  const x509 = present(PEM_read_bio_X509(bio))
  BIO_free(bio)
  return x509
}

const privateKey = () => {
  const bio = present(BIO_new_mem_buf(readCredential('keyFile')))
  const key = present(PEM_read_bio_PrivateKey(bio, null))
  BIO_free(bio)
  return key
}

// Every class whose references are counted, with a use that shows whether a handle is alive.
const counted = {
  SSL_CTX: {
    make: () => present(SSL_CTX_new(TLS_method())),
    upRef: SSL_CTX_up_ref,
    free: SSL_CTX_free,
    use: SSL_CTX_get_timeout,
  },
  SSL_SESSION: {
    make: () => present(SSL_SESSION_new()),
    upRef: SSL_SESSION_up_ref,
    free: SSL_SESSION_free,
    use: SSL_SESSION_get_id,
  },
  BIO: { make: () => present(BIO_new(BIO_s_mem())), upRef: BIO_up_ref, free: BIO_free, use: BIO_pending },
  X509: { make: certificate, upRef: X509_up_ref, free: X509_free, use: (x509: X509) => X509_cmp(x509, x509) },
  EVP_PKEY: { make: privateKey, upRef: EVP_PKEY_up_ref, free: EVP_PKEY_free, use: EVP_PKEY_get_bits },
} as Record<
  string,
  {
    make: () => object
    upRef: (handle: object) => number
    free: (handle: object | null) => unknown
    use: (handle: object) => unknown
  }
>

const der = (session: SSL_SESSION) => present(i2d_SSL_SESSION(session))

describe('References', () => {
  leaveNothingBehind()

  it('are never missing from a handle that can be used, though its object is frozen', () => {
    const { client, server } = connect(serverContext(TLS1_2_VERSION), clientContext())
    const session = present(SSL_get1_session(client))
    SSL_SESSION_free(session)
    Object.freeze(session)
    assert.throws(() => SSL_get0_session(client), { code: 'ERR_INVALID_STATE' })
    SSL_free(client)
    SSL_free(server)
    assert.throws(() => SSL_SESSION_get_id(session), { code: 'ERR_HANDLE_FREED' })
  })

  for (const [name, { make, upRef, free, use }] of Object.entries(counted)) {
    it(`of a new ${name} are one, which its free function gives back; then the handle is dead`, () => {
      const before = owned(name)
      const handle = make()
      assert.equal(owned(name), before + 1)
      use(handle)
      free(handle)
      assert.equal(owned(name), before)
      for (const useless of [use, upRef, free]) {
        assert.throws(() => useless(handle), { name: 'Error', code: 'ERR_HANDLE_FREED' })
      }
      assert.equal(owned(name), before)
    })

    it(`of a ${name} are counted: it takes as many frees as there were up_refs, and one`, () => {
      const handle = make()
      assert.equal(upRef(handle), 1)
      assert.equal(upRef(handle), 1)
      assert.equal(owned(name), 3)
      for (let left = 2; left >= 0; left--) {
        use(handle)
        free(handle)
        assert.equal(owned(name), left)
      }
      assert.throws(() => use(handle), { code: 'ERR_HANDLE_FREED' })
    })

    it(`of no ${name} are freed by null`, () => {
      assert.doesNotThrow(() => free(null))
    })
  }

  it('that OpenSSL holds are its own business: an object lives until both sides have let go', () => {
    const contexts = live('SSL_CTX')
    const ctx = keep(present(SSL_CTX_new(TLS_method())))
    const ssl = keep(present(SSL_new(ctx)))
    SSL_CTX_free(ctx)
    assert.equal(live('SSL_CTX'), contexts + 1)
    SSL_free(ssl)
    assert.equal(live('SSL_CTX'), contexts)
  })

  it('cannot be given back for what is only borrowed: ERR_NOT_OWNED', () => {
    const { server, client } = connect(serverContext(TLS1_3_VERSION), clientContext())
    const ctx = present(SSL_get_SSL_CTX(server))
    SSL_CTX_free(ctx)
    const borrowed = {
      SSL_get_SSL_CTX: () => SSL_CTX_free(SSL_get_SSL_CTX(server)),
      SSL_get_rbio: () => BIO_free(SSL_get_rbio(server)),
      SSL_get_wbio: () => BIO_free(SSL_get_wbio(server)),
      SSL_get_certificate: () => X509_free(SSL_get_certificate(server)),
      SSL_CTX_get0_certificate: () => X509_free(SSL_CTX_get0_certificate(ctx)),
      SSL_get0_session: () => SSL_SESSION_free(SSL_get0_session(server)),
      SSL_SESSION_get0_peer: () => X509_free(SSL_SESSION_get0_peer(present(SSL_get0_session(client)))),
    }
    for (const [what, free] of Object.entries(borrowed)) {
      assert.throws(free, { name: 'Error', code: 'ERR_NOT_OWNED' }, what)
    }
    assert.deepEqual(
      ['BIO', 'X509', 'SSL_CTX', 'SSL_SESSION'].map((name) => owned(name)),
      // The client's context is the one that the test still owns.
      [0, 0, 1, 0],
    )
  })

  it('borrowed from an object end with it', () => {
    const { server, client } = connect(serverContext(TLS1_3_VERSION), clientContext())
    const ctx = present(SSL_get_SSL_CTX(server))
    SSL_CTX_free(ctx)
    const peer = present(SSL_SESSION_get0_peer(present(SSL_get0_session(client))))
    const certificate = present(SSL_CTX_get0_certificate(ctx))
    const store = present(SSL_CTX_get_cert_store(ctx))
    const bio = present(SSL_get_rbio(server))
    assert.equal(X509_cmp(peer, certificate), 0)
    assert.equal(X509_STORE_set_flags(store, 0), 1)
    assert.equal(BIO_pending(bio), 0)
    SSL_free(client)
    SSL_free(server)
    for (const use of [
      () => SSL_CTX_get_timeout(ctx),
      () => X509_cmp(peer, peer),
      () => X509_cmp(certificate, certificate),
      () => X509_STORE_set_flags(store, 0),
      () => BIO_pending(bio),
    ]) {
      assert.throws(use, { code: 'ERR_HANDLE_FREED' })
    }
  })

  it('borrowed from two objects end with the second', () => {
    const { serverCtx, clientCtx, session, ticket } = externalCache(TLS1_2_VERSION)
    SSL_CTX_add_session(serverCtx, session)
    SSL_CTX_set_session_cache_mode(serverCtx, SSL_SESS_CACHE_SERVER)
    const [one, other] = [connect(serverCtx, clientCtx, ticket), connect(serverCtx, clientCtx, ticket)]
    SSL_SESSION_free(session)
    assert.throws(() => SSL_SESSION_get_id(session), { code: 'ERR_HANDLE_FREED' })
    assert.equal(SSL_get0_session(one.server), session)
    assert.equal(SSL_get0_session(other.server), session)
    SSL_free(one.server)
    assert.equal(SSL_SESSION_get_id(session).length, 32)
    SSL_free(other.server)
    assert.throws(() => SSL_SESSION_get_id(session), { code: 'ERR_HANDLE_FREED' })
  })

  it('of results that are documented as owned have to be given back', () => {
    const { client } = connect(serverContext(TLS1_3_VERSION), clientContext())
    const session = present(SSL_get1_session(client))
    const results = {
      SSL_SESSION: [session, present(SSL_SESSION_dup(session)), present(d2i_SSL_SESSION(der(session)))],
      X509: [present(SSL_get1_peer_certificate(client))],
    }
    assert.deepEqual([owned('SSL_SESSION'), owned('X509')], [3, 1])
    for (const each of results.SSL_SESSION) SSL_SESSION_free(each)
    for (const each of results.X509) X509_free(each)
    assert.deepEqual([owned('SSL_SESSION'), owned('X509')], [0, 0])
  })

  describe('of BIOs', () => {
    const bios = () => [keep(present(BIO_new(BIO_s_mem()))), keep(present(BIO_new(BIO_s_mem())))] as const

    it('go over to the connection, one of each, and stay usable as long as it lives', () => {
      const ssl = keep(present(SSL_new(clientContext())))
      const [rbio, wbio] = bios()
      SSL_set_bio(ssl, rbio, wbio)
      assert.equal(owned('BIO'), 0)
      assert.deepEqual([SSL_get_rbio(ssl) === rbio, SSL_get_wbio(ssl) === wbio], [true, true])
      assert.equal(BIO_write(rbio, Buffer.from('bytes')), 5)
      assert.throws(() => BIO_free(rbio), { code: 'ERR_NOT_OWNED' })
      SSL_free(ssl)
      assert.throws(() => BIO_pending(rbio), { code: 'ERR_HANDLE_FREED' })
      assert.throws(() => BIO_pending(wbio), { code: 'ERR_HANDLE_FREED' })
    })

    it('are one when both sides are the same BIO', () => {
      const ssl = keep(present(SSL_new(clientContext())))
      const [bio] = bios()
      SSL_set_bio(ssl, bio, bio)
      assert.equal(owned('BIO'), 1)
      assert.equal(SSL_get_rbio(ssl), SSL_get_wbio(ssl))
    })

    it('outlive the connection when BIO_up_ref took one more', () => {
      const ssl = keep(present(SSL_new(clientContext())))
      const [rbio, wbio] = bios()
      BIO_up_ref(rbio)
      SSL_set_bio(ssl, rbio, wbio)
      SSL_free(ssl)
      assert.equal(BIO_pending(rbio), 0)
      assert.equal(BIO_free(rbio), 1)
    })

    it('cannot go over when they are not owned', () => {
      const [one, other] = [keep(present(SSL_new(clientContext()))), keep(present(SSL_new(clientContext())))]
      const [rbio, wbio] = bios()
      SSL_set_bio(one, rbio, wbio)
      assert.throws(() => SSL_set_bio(other, rbio, wbio), { code: 'ERR_NOT_OWNED' })
      assert.deepEqual([SSL_get_rbio(other), SSL_get_wbio(other)], [null, null])
      assert.equal(SSL_get_rbio(one), rbio)
    })

    it('come back when the connection gets others, or none', () => {
      const ssl = keep(present(SSL_new(clientContext())))
      const [rbio, wbio] = bios()
      BIO_up_ref(rbio)
      SSL_set_bio(ssl, rbio, wbio)
      const [another] = bios()
      SSL_set_bio(ssl, another, another)
      assert.equal(SSL_get_rbio(ssl), another)
      SSL_set_bio(ssl, null, null)
      assert.equal(SSL_get_rbio(ssl), null)
      assert.equal(BIO_free(rbio), 1)
    })
  })
})

describe('Identity', () => {
  leaveNothingBehind()

  it('is that of the C object: one object for one pointer, wherever it comes from', () => {
    const [serverCtx, clientCtx] = [serverContext(TLS1_3_VERSION), clientContext()]
    const seen: SSL_SESSION[] = []
    SSL_CTX_sess_set_new_cb(serverCtx, (_ssl, session) => {
      seen.push(keep(session))
      return 1
    })
    const { server, client } = connect(serverCtx, clientCtx)
    assert.equal(SSL_get_SSL_CTX(server), serverCtx)
    assert.equal(SSL_get_SSL_CTX(client), clientCtx)
    assert.equal(SSL_get0_session(server), seen.at(-1))
    assert.equal(SSL_get_certificate(server), SSL_CTX_get0_certificate(serverCtx))
    assert.equal(SSL_get_current_cipher(server), SSL_get_current_cipher(client))
    assert.equal(SSL_SESSION_get0_cipher(present(seen[0])), SSL_get_current_cipher(server))
    assert.equal(BIO_s_mem(), BIO_s_mem())
  })

  it('is not that of the content: duplicates and decoded copies are other objects', () => {
    const { session } = externalCache(TLS1_3_VERSION)
    const copies = [present(SSL_SESSION_dup(session)), ...[1, 2].map(() => present(d2i_SSL_SESSION(der(session))))]
    assert.equal(new Set([session, ...copies.map(keep)]).size, 4)
    for (const copy of copies) assert.deepEqual(SSL_SESSION_get_id(copy), SSL_SESSION_get_id(session))
  })

  it('is not inherited by a new object at the same address', () => {
    const handles = new Set<object>()
    for (let i = 0; i < 100; i++) {
      const session = present(SSL_SESSION_new())
      handles.add(session)
      SSL_SESSION_free(session)
    }
    assert.equal(handles.size, 100)
    for (const handle of handles) {
      assert.throws(() => SSL_SESSION_get_id(handle as SSL_SESSION), { code: 'ERR_HANDLE_FREED' })
    }
  })

  inEachProtocol((version) => {
    it('survives death: a session that OpenSSL still has comes back as the object that it was', () => {
      const [serverCtx, clientCtx] = [serverContext(version), clientContext()]
      const seen: SSL_SESSION[] = []
      SSL_CTX_sess_set_new_cb(serverCtx, (_ssl, session) => void seen.push(session))
      connect(serverCtx, clientCtx).close()
      for (const session of seen) assert.throws(() => SSL_SESSION_get_id(session), { code: 'ERR_HANDLE_FREED' })
      const removed: SSL_SESSION[] = []
      SSL_CTX_sess_set_remove_cb(serverCtx, (_ctx, session) => {
        assert.equal(SSL_SESSION_get_id(session).length, 32)
        removed.push(session)
      })
      SSL_CTX_flush_sessions(serverCtx, 0)
      assert.equal(removed.length, seen.length)
      assert.deepEqual(new Set(removed), new Set(seen))
      assert.equal(new Set([...removed, ...seen]).size, seen.length)
      for (const session of seen) assert.throws(() => SSL_SESSION_get_id(session), { code: 'ERR_HANDLE_FREED' })
    })
  })

  it('of the context of a connection follows SSL_set_SSL_CTX', () => {
    const [one, other] = [serverContext(TLS1_3_VERSION), serverContext(TLS1_3_VERSION)]
    const ssl = endpoint(one, 'server')
    assert.equal(SSL_set_SSL_CTX(ssl, other), other)
    assert.equal(SSL_get_SSL_CTX(ssl), other)
  })
})
