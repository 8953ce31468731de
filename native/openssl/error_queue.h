// OpenSSL's per-thread error queue, set aside while something else runs.
#pragma once

#include <openssl/err.h>

#include <string>
#include <vector>

#include "openssl/compat.h"

namespace ossl {

// Takes the errors that are on the queue and puts them back, oldest first, in place of whatever came meanwhile.
class ErrorQueueKeeper {
 public:
  ErrorQueueKeeper();
  ~ErrorQueueKeeper();
  ErrorQueueKeeper(const ErrorQueueKeeper&) = delete;
  ErrorQueueKeeper& operator=(const ErrorQueueKeeper&) = delete;

 private:
  std::vector<compat::QueuedError> errors_;
};

}  // namespace ossl
