// One engine library that makes all interpreters.
#pragma once

#include <memory>
#include <string>

#include "runtime/src/engine_loader.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

// Loads the library at `path` once, as it is. kNotFound; kFailedPrecondition when it cannot
// be loaded or is no engine.
Result<std::unique_ptr<EngineLoader>> MakeSharedEngineLoader(const std::string& path);

}  // namespace torchdeploy
