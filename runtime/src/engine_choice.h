// Which engine loader a pool gets.
#pragma once

#include <memory>

#include "runtime/src/engine_loader.h"
#include "torchdeploy/options.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

// The loader that `options` ask for: of options.engine_library, else of private copies of
// the CPython engine.
Result<std::unique_ptr<EngineLoader>> MakeEngineLoader(const Options& options);

}  // namespace torchdeploy
