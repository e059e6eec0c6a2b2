// What an inference needs to be let in.
#pragma once

#include <memory>

#include "server/model_registry.h"
#include "server/serving_gate.h"

namespace torchdeploy::server {

// An inference that is let in.
struct Admission {
  std::unique_ptr<ServingGate::Pass> pass;  // Kept until the answer has been taken by gRPC.
  std::shared_ptr<const Model> model;
};

}  // namespace torchdeploy::server
