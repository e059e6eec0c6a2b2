#include "runtime/src/replica_set.h"

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "interpreter_lib/abi/interp_abi.h"
#include "runtime/src/archive_file.h"
#include "runtime/src/engine.h"
#include "runtime/src/engine_object.h"
#include "runtime/src/package_state.h"
#include "torchdeploy/status.h"
#include "torchdeploy/tensor.h"

namespace torchdeploy {

ReplicaSet::ReplicaSet(std::shared_ptr<PackageState> package, std::string pickle_package,
                       std::string pickle_resource)
    : package_(std::move(package)),
      pickle_package_(std::move(pickle_package)),
      pickle_resource_(std::move(pickle_resource)),
      replicas_(package_->pool().size()) {}

Result<std::shared_ptr<const EngineObject>> ReplicaSet::ReplicaIn(size_t slot) {
  std::shared_ptr<const EngineObject>& replica = replicas_[slot];
  if (replica == nullptr) {
    const Result<std::shared_ptr<const EngineObject>> importer = package_->ImporterIn(slot);
    if (!importer.ok()) {
      return importer.status();
    }
    Result<Tensor> bytes = package_->archive().Map(slot);
    if (!bytes.ok()) {
      return bytes.status();
    }
    Engine& engine = pool().interpreter(slot).engine();
    const Result<td_object> object =
        engine.LoadPickle((*importer)->id(), pickle_package_, pickle_resource_, *std::move(bytes));
    if (!object.ok()) {
      return object.status();
    }
    replica = std::make_shared<EngineObject>(engine, *object);
  }
  return replica;
}

}  // namespace torchdeploy
