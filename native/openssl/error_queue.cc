#include "openssl/error_queue.h"

namespace ossl {

ErrorQueueKeeper::ErrorQueueKeeper() {
  while (ERR_peek_error() != 0) errors_.push_back(compat::take_error());
}

ErrorQueueKeeper::~ErrorQueueKeeper() {
  ERR_clear_error();
  for (const auto& error : errors_) compat::put_error(error);
}

}  // namespace ossl
