// The engines of torchdeploy_pkg, loaded as private copies.
#pragma once

#include <memory>

#include "runtime/src/engine_loader.h"
#include "torchdeploy/options.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

// Both find the Python of `options` and what it has installed. Errors as documented at
// InterpreterManager::Create().

// The CPython engine, a copy for each interpreter.
Result<std::unique_ptr<EngineLoader>> MakePrivateEngineLoader(const Options& options);

// The native engine, one copy for all interpreters of the loader: so that it never meets the torch
// of the host, and is not destroyed under its calls by exit().
Result<std::unique_ptr<EngineLoader>> MakePrivateNativeEngineLoader(const Options& options);

}  // namespace torchdeploy
