// leaks(): what is alive and what the application owns.
#pragma once

#include "bind/environment.h"

namespace ossl {

// The object that leaks() returns.
napi_value leak_report(binding::Environment& env);

}  // namespace ossl
