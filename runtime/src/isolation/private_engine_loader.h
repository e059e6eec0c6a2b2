// The CPython engine, loaded as a private copy for each interpreter.
#pragma once

#include <memory>

#include "runtime/src/engine_loader.h"
#include "torchdeploy/options.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

// Finds the Python of `options` and what it has installed. Errors as documented at
// InterpreterManager::Create().
Result<std::unique_ptr<EngineLoader>> MakePrivateEngineLoader(const Options& options);

}  // namespace torchdeploy
