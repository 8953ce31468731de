// Sessions as files between the libssl layer and the openssl program, in PEM and DER: what one writes the other reads, with
// every field the same. Whether they resume is in resumption.test.ts.

import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  BIO_new,
  BIO_new_mem_buf,
  BIO_pending,
  BIO_read,
  BIO_s_mem,
  BIO_write,
  d2i_SSL_SESSION,
  i2d_SSL_SESSION,
  i2d_X509,
  PEM_read_bio_SSL_SESSION,
  PEM_read_bio_X509,
  PEM_write_bio_SSL_SESSION,
  SSL_CIPHER_get_name,
  SSL_get0_session,
  SSL_SESSION,
  SSL_SESSION_get_id,
  SSL_SESSION_get_master_key,
  SSL_SESSION_get_time,
  SSL_SESSION_get_timeout,
  SSL_SESSION_get0_cipher,
  SSL_SESSION_get0_id_context,
  SSL_SESSION_get0_peer,
  SSL_SESSION_get0_ticket,
  SSL_SESSION_is_resumable,
  SSL_SESSION_print,
  TLS1_2_VERSION,
} from 'openssl-session/libssl'
import { leaveNothingBehind } from '../support/accounts.js'
import { credentials, openssl } from '../support/credentials.js'
import { clientContext, connect, inEachProtocol, keep, lastReason, present, serverContext } from '../support/peers.js'

type Side = 'server' | 'client'

/** The session that one side of a fresh connection has. */
function sessionOf(side: Side, version: number): SSL_SESSION {
  return present(SSL_get0_session(connect(serverContext(version), clientContext())[side]))
}

/** What a BIO holds after `write` has filled it. */
function written(write: (bio: ReturnType<typeof memory>) => number): Buffer {
  const bio = memory()
  assert.equal(write(bio), 1)
  const bytes = Buffer.alloc(BIO_pending(bio))
  assert.equal(BIO_read(bio, bytes), bytes.length)
  return bytes
}

function memory() {
  return keep(present(BIO_new(BIO_s_mem())))
}

const pem = (session: SSL_SESSION): Buffer => written((bio) => PEM_write_bio_SSL_SESSION(bio, session))
const der = (session: SSL_SESSION): Buffer => present(i2d_SSL_SESSION(session))

/** The path of a file with these bytes, for the openssl program. */
function file(name: string, bytes: Uint8Array): string {
  const path = join(credentials().folder, name)
  writeFileSync(path, bytes)
  return path
}

/** Runs sess_id over a session in one form. Returns what it writes to `-out`, which is a session unless `args` say otherwise. */
function sessId(form: 'PEM' | 'DER', bytes: Uint8Array, ...args: string[]): Buffer {
  const out = join(credentials().folder, 'sess_id.out')
  openssl('sess_id', '-inform', form, '-in', file('session', bytes), '-out', out, ...args)
  return readFileSync(out)
}

/** The value after a label in OpenSSL's text form of a session. */
function field(text: string, label: string): string {
  const match = new RegExp(`^ +${label} *: (.*)$`, 'm').exec(text)
  if (match === null) throw new Error(`no ${label} in ${text}`)
  return match[1] ?? ''
}

describe('A session file', () => {
  leaveNothingBehind()

  inEachProtocol((version) => {
    for (const side of ['server', 'client'] as const) {
      describe(`of a ${side}`, () => {
        it('that we wrote says to openssl sess_id what it says to us, in PEM and in DER', () => {
          const session = sessionOf(side, version)
          const secret = version === TLS1_2_VERSION ? 'Master-Key' : 'Resumption PSK'
          const hex = (bytes: Buffer) => bytes.toString('hex').toUpperCase()
          for (const text of [
            openssl('sess_id', '-in', file('pem', pem(session)), '-noout', '-text').toString(),
            openssl('sess_id', '-inform', 'DER', '-in', file('der', der(session)), '-noout', '-text').toString(),
          ]) {
            assert.equal(field(text, 'Protocol'), version === TLS1_2_VERSION ? 'TLSv1.2' : 'TLSv1.3')
            assert.equal(field(text, 'Cipher'), SSL_CIPHER_get_name(present(SSL_SESSION_get0_cipher(session))))
            assert.equal(field(text, 'Session-ID'), hex(SSL_SESSION_get_id(session)))
            assert.equal(field(text, 'Session-ID-ctx'), hex(SSL_SESSION_get0_id_context(session)))
            assert.equal(field(text, secret), hex(SSL_SESSION_get_master_key(session)))
            assert.equal(field(text, 'Start Time'), String(SSL_SESSION_get_time(session)))
            assert.equal(field(text, 'Timeout').split(' ')[0], String(SSL_SESSION_get_timeout(session)))
            assert.equal(text, written((bio) => SSL_SESSION_print(bio, session)).toString())
          }
        })

        it('that openssl sess_id wrote is the same session to us, from PEM and from DER into PEM and DER', () => {
          const session = sessionOf(side, version)
          const ours = { PEM: pem(session), DER: der(session) }
          for (const from of ['PEM', 'DER'] as const) {
            const theirs = {
              PEM: sessId(from, ours[from], '-outform', 'PEM'),
              DER: sessId(from, ours[from], '-outform', 'DER'),
            }
            assert.deepEqual(theirs, ours)
            const bio = keep(present(BIO_new_mem_buf(theirs.PEM)))
            for (const read of [PEM_read_bio_SSL_SESSION(bio), d2i_SSL_SESSION(theirs.DER)]) {
              const back = keep(present(read))
              assert.ok(back instanceof SSL_SESSION)
              assert.deepEqual(der(back), ours.DER)
              assert.deepEqual(SSL_SESSION_get_master_key(back), SSL_SESSION_get_master_key(session))
              assert.deepEqual(SSL_SESSION_get0_ticket(back), SSL_SESSION_get0_ticket(session))
              assert.equal(SSL_SESSION_is_resumable(back), SSL_SESSION_is_resumable(session))
            }
          }
        })
      })
    }

    it("that we wrote gives openssl sess_id the peer's certificate", () => {
      const session = sessionOf('client', version)
      const shown = sessId('DER', der(session), '-cert')
      const theirs = keep(present(PEM_read_bio_X509(keep(present(BIO_new_mem_buf(shown))))))
      assert.deepEqual(i2d_X509(theirs), i2d_X509(present(SSL_SESSION_get0_peer(session))))
    })

    it('to which openssl sess_id gives another session id context has it here, too', () => {
      const session = sessionOf('server', version)
      const changed = keep(present(d2i_SSL_SESSION(sessId('DER', der(session), '-context', 'mine', '-outform', 'DER'))))
      assert.equal(SSL_SESSION_get0_id_context(session).toString(), 'test')
      assert.equal(SSL_SESSION_get0_id_context(changed).toString(), 'mine')
    })

    it('with several sessions in PEM, and other text around them, is read one after the other', () => {
      const sessions = (['server', 'client'] as const).map((side) => sessionOf(side, version))
      const bio = memory()
      for (const session of sessions) {
        BIO_write(bio, Buffer.from('a note\n'))
        PEM_write_bio_SSL_SESSION(bio, session)
      }
      for (const session of sessions) {
        assert.deepEqual(der(keep(present(PEM_read_bio_SSL_SESSION(bio)))), der(session))
      }
      assert.equal(PEM_read_bio_SSL_SESSION(bio), null)
      assert.equal(lastReason(), 'no start line')
    })
  })
})
