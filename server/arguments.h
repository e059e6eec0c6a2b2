// The arguments of one call.
#pragma once

#include <vector>

#include "torchdeploy/value.h"

namespace torchdeploy::server {

struct Arguments {
  std::vector<Value> positional;
  Kwargs keywords;
};

}  // namespace torchdeploy::server
