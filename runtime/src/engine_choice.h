// Which engine loader a pool gets.
#pragma once

#include <memory>

#include "runtime/src/engine_loader.h"
#include "torchdeploy/options.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

enum class EngineKind {
  kPython,  // The CPython engine, a private copy for each interpreter.
  kNative,  // That for archives without Python: one private copy for all.
};

// The loader of that engine, or of options.engine_library where one is given.
Result<std::unique_ptr<EngineLoader>> MakeEngineLoader(const Options& options, EngineKind engine);

}  // namespace torchdeploy
