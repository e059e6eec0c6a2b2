#include "runtime/src/package_state.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

#include "interpreter_lib/abi/interp_abi.h"
#include "runtime/src/archive_file.h"
#include "runtime/src/engine.h"
#include "runtime/src/engine_object.h"
#include "runtime/src/pool.h"
#include "torchdeploy/archive_format.h"
#include "torchdeploy/manifest.h"
#include "torchdeploy/status.h"
#include "torchdeploy/tensor.h"

namespace torchdeploy {

PackageState::PackageState(std::shared_ptr<Pool> pool, ArchiveFormat format,
                           std::shared_ptr<ArchiveFile> archive, std::optional<Manifest> manifest)
    : pool_(std::move(pool)),
      format_(format),
      archive_(std::move(archive)),
      manifest_(std::move(manifest)) {
  archive_->SetWhileIdle(pool_->WhileIdle());
}

Result<std::shared_ptr<const EngineObject>> PackageState::ImporterIn(size_t slot) {
  const Pool::Tenant tenant = pool_->tenant(slot);
  std::shared_ptr<const EngineObject>& importer = importers_.At(slot, tenant.lease);
  if (importer == nullptr) {
    Result<Tensor> bytes = archive_->Map();
    if (!bytes.ok()) {
      return bytes.status();
    }
    Engine& engine = tenant.interpreter->engine();
    const Result<td_object> object = engine.OpenPackage(archive_->path(), *std::move(bytes));
    if (!object.ok()) {
      return object.status();
    }
    importer = std::make_shared<EngineObject>(engine, *object);
  }
  return importer;
}

}  // namespace torchdeploy
