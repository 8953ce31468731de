// BIO: the in-memory streams through which connections, PEM and text pass. No sockets here.

import { type BIO, type BIO_METHOD, fn } from './bind.js'

/**
 * Returns the method of memory BIOs, to be given to `BIO_new`. The same object every time.
 * @see BIO_s_mem(3)
 */
export const BIO_s_mem = fn<() => BIO_METHOD>('BIO_s_mem')

/**
 * Creates an empty BIO, to be freed with `BIO_free` unless `SSL_set_bio` takes it over. Null when memory is short.
 * @see BIO_new(3)
 */
export const BIO_new = fn<(method: BIO_METHOD) => BIO | null>('BIO_new')

/**
 * Creates a BIO that holds a copy of `bytes`, for the `PEM_read_bio_*` functions. Once read to its end it answers 0,
 * not -1. Null when memory is short.
 * @see BIO_new_mem_buf(3)
 */
export const BIO_new_mem_buf = fn<(bytes: Uint8Array) => BIO | null>('BIO_new_mem_buf')

/**
 * Takes one more reference, to be given back with `BIO_free`: before `SSL_set_bio`, when the BIO is to outlive the
 * connection. Returns 1, or 0 on failure.
 * @see BIO_up_ref(3)
 */
export const BIO_up_ref = fn<(bio: BIO) => number>('BIO_up_ref')

/**
 * Gives back one owned reference; the last one frees the BIO. Returns 1, or 0 for null.
 * @see BIO_free(3)
 */
export const BIO_free = fn<(bio: BIO | null) => number>('BIO_free')

/**
 * Fills `buffer` with what the BIO holds. Returns the number of bytes read; 0 or -1 when there is none
 * (`BIO_set_mem_eof_return` chooses which), and then `BIO_should_retry` tells whether more may come.
 * @see BIO_read(3)
 */
export const BIO_read = fn<(bio: BIO, buffer: Uint8Array) => number>('BIO_read')

/**
 * Appends `bytes`. Returns the number of bytes taken, which for memory is all of them; less than 1 on failure.
 * @see BIO_write(3)
 */
export const BIO_write = fn<(bio: BIO, bytes: Uint8Array) => number>('BIO_write')

/**
 * Returns the number of bytes that can be read at once.
 * @see BIO_pending(3)
 */
export const BIO_pending = fn<(bio: BIO) => number>('BIO_pending')

/**
 * Returns the number of bytes that can be read at once; C's function behind `BIO_pending`, with a wider result.
 * @see BIO_ctrl_pending(3)
 */
export const BIO_ctrl_pending = fn<(bio: BIO) => number>('BIO_ctrl_pending')

/**
 * Returns the number of bytes written but not yet passed on; 0 for memory BIOs.
 * @see BIO_wpending(3)
 */
export const BIO_wpending = fn<(bio: BIO) => number>('BIO_wpending')

/**
 * Returns 1 when the BIO is empty, else 0. For a memory BIO "empty" may pass: somebody can write to it.
 * @see BIO_eof(3)
 */
export const BIO_eof = fn<(bio: BIO) => number>('BIO_eof')

/**
 * Throws away what the BIO holds. Returns 1.
 * @see BIO_reset(3)
 */
export const BIO_reset = fn<(bio: BIO) => number>('BIO_reset')

/**
 * After a read that gave nothing: returns 1 when reading again later may succeed, 0 when the end is final.
 * @see BIO_should_retry(3)
 */
export const BIO_should_retry = fn<(bio: BIO) => number>('BIO_should_retry')

/**
 * Sets what reading an empty memory BIO answers: -1 (the default) for "come again", 0 for end of file. Set 0 once the
 * peer's stream has ended, so that `SSL_read` sees it. Returns 1.
 * @see BIO_set_mem_eof_return(3)
 */
export const BIO_set_mem_eof_return = fn<(bio: BIO, value: number) => number>('BIO_set_mem_eof_return')
