#include "runtime/src/engine_choice.h"

#include <memory>

#include "runtime/src/engine_loader.h"
#include "runtime/src/isolation/private_engine_loader.h"
#include "runtime/src/shared_engine_loader.h"
#include "torchdeploy/options.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

Result<std::unique_ptr<EngineLoader>> MakeEngineLoader(const Options& options, EngineKind engine) {
  if (!options.engine_library.empty()) {
    return MakeSharedEngineLoader(options.engine_library);
  }
  return engine == EngineKind::kPython ? MakePrivateEngineLoader(options)
                                       : MakePrivateNativeEngineLoader(options);
}

}  // namespace torchdeploy
