#include "runtime/compat/src/status_error.h"

#include <stdexcept>
#include <string>

#include "torchdeploy/status.h"

namespace torch::deploy {

void Throw(const torchdeploy::Status& status) {
  if (status.type().empty()) {
    throw std::runtime_error(status.message());
  }
  throw std::runtime_error(status.type() + ": " + status.message() + "\n" + status.traceback());
}

}  // namespace torch::deploy
