// What JavaScript hears of connections and listeners. The numbers are part of the interface to lib/engine.ts.
#pragma once

namespace engine {

enum class Told : int {
  // A client was accepted; only where the profile asks for it.
  kAccepted = 0,
  // The handshake is complete. Value: the protocol version, negative when a session was resumed; or an array of that,
  // the application protocol, the name that the client asked for, and whether the handshake is complete. It is not when
  // there is early data.
  kEstablished = 1,
  // Value: the plain text.
  kData = 2,
  // Nothing more will come, cleanly or not.
  kEnded = 3,
  // TLS has failed; the reason is on the error queue. Value: whether it was the handshake that took too long.
  kFailed = 4,
  // The socket has failed. Value: the error number.
  kReadFailed = 5,
  kWriteFailed = 6,
  // The oldest write is done.
  kWritten = 7,
  // The sending direction is ended.
  kFinished = 8,
  // An answer was not there in time. Value: the id that was asked for.
  kLookupLate = 9,
  // A callback has thrown or its answer cannot be used. Value: the exception.
  kRefused = 10,
  // The connection is gone.
  kClosed = 11,
  // Of a listener. Value: an error number, or 0 when it has closed.
  kListener = 12,
  // Of a listener that has as many connections as it may: one was turned away. Value: its address.
  kDropped = 13,
  // A profile has no connections left and is nobody's any more.
  kProfileGone = 14,
  // Where the profile stores sessions: one is looked for, to be used once or again. Value: its id.
  kLookupOnce = 15,
  kLookup = 16,
  // The answer was not there in time. Value: the id.
  kStoreLateOnce = 17,
  kStoreLate = 18,
  // There is a new session to keep. Value: an array of its id, its DER form, and the seconds that it lives.
  kKeep = 19,
  // The handshake is complete, of which kEstablished has told before.
  kCompleted = 20,
  // A session was found and is not used. Value: as for kKeep.
  kGiveBack = 21,
};

}  // namespace engine
