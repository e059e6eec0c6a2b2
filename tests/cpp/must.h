// The value of a result that a test cannot go on without.
#pragma once

#include <cstdlib>
#include <utility>

#include <gtest/gtest.h>

#include "torchdeploy/status.h"

namespace torchdeploy {

// Aborts, and says why, when there is none.
template <typename T>
T Must(Result<T> result) {
  if (!result.ok()) {
    ADD_FAILURE() << result.status().ToString();
    std::abort();
  }
  return *std::move(result);
}

}  // namespace torchdeploy
