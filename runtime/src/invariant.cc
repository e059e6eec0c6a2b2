#include "runtime/src/invariant.h"

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace torchdeploy {

void AbortBroken(std::string_view what) {
  std::fprintf(stderr, "torchdeploy: %.*s\n", static_cast<int>(what.size()), what.data());
  std::abort();
}

}  // namespace torchdeploy
