// Statuses as exceptions.
#pragma once

#include <utility>

#include "torchdeploy/status.h"

namespace torch::deploy {

// std::runtime_error with the Status' message; for a Python exception with its type, its message
// and its traceback.
[[noreturn]] void Throw(const torchdeploy::Status& status);

inline void Check(const torchdeploy::Status& status) {
  if (!status.ok()) {
    Throw(status);
  }
}

template <typename T>
T ValueOf(torchdeploy::Result<T> result) {
  Check(result.status());
  return *std::move(result);
}

}  // namespace torch::deploy
