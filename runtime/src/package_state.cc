#include "runtime/src/package_state.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "interpreter_lib/abi/interp_abi.h"
#include "runtime/src/engine.h"
#include "runtime/src/engine_object.h"
#include "runtime/src/pool.h"
#include "torchdeploy/manifest.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

PackageState::PackageState(std::shared_ptr<Pool> pool, std::string path,
                           std::optional<Manifest> manifest)
    : pool_(std::move(pool)),
      path_(std::move(path)),
      manifest_(std::move(manifest)),
      importers_(pool_->size()) {}

Result<std::shared_ptr<const EngineObject>> PackageState::ImporterIn(size_t slot) {
  std::shared_ptr<const EngineObject>& importer = importers_[slot];
  if (importer == nullptr) {
    Engine& engine = pool_->interpreter(slot).engine();
    const Result<td_object> object = engine.OpenPackage(path_);
    if (!object.ok()) {
      return object.status();
    }
    importer = std::make_shared<EngineObject>(engine, *object);
  }
  return importer;
}

}  // namespace torchdeploy
