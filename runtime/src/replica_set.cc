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
#include "runtime/src/pool.h"
#include "torchdeploy/status.h"
#include "torchdeploy/tensor.h"
#include "torchdeploy/value.h"

namespace torchdeploy {

Result<std::shared_ptr<const EngineObject>> ReplicaSet::ReplicaIn(size_t slot) {
  const Pool::Tenant tenant = pool_->tenant(slot);
  std::shared_ptr<const EngineObject>& replica = replicas_.At(slot, tenant.lease);
  if (replica == nullptr) {
    Engine& engine = tenant.interpreter->engine();
    const Result<td_object> object = MakeIn(slot, engine);
    if (!object.ok()) {
      return object.status();
    }
    replica = std::make_shared<EngineObject>(engine, *object);
  }
  return replica;
}

PickleReplicas::PickleReplicas(const std::shared_ptr<PackageState>& package,
                               std::string pickle_package, std::string pickle_resource)
    : ReplicaSet(package->pool(), package),
      pickle_package_(std::move(pickle_package)),
      pickle_resource_(std::move(pickle_resource)) {}

Result<td_object> PickleReplicas::MakeIn(size_t slot, Engine& engine) {
  const Result<std::shared_ptr<const EngineObject>> importer = package()->ImporterIn(slot);
  if (!importer.ok()) {
    return importer.status();
  }
  Result<Tensor> bytes = package()->archive().Map(slot);
  if (!bytes.ok()) {
    return bytes.status();
  }
  return engine.LoadPickle((*importer)->id(), pickle_package_, pickle_resource_, *std::move(bytes));
}

MovableReplicas::MovableReplicas(std::shared_ptr<Pool> pool, std::shared_ptr<PackageState> package,
                                 Value pickled)
    : ReplicaSet(std::move(pool), std::move(package)), pickled_(std::move(pickled)) {}

Result<td_object> MovableReplicas::MakeIn(size_t slot, Engine& engine) {
  if (package() == nullptr) {
    return engine.Unpickle(0, pickled_);
  }
  const Result<std::shared_ptr<const EngineObject>> importer = package()->ImporterIn(slot);
  if (!importer.ok()) {
    return importer.status();
  }
  return engine.Unpickle((*importer)->id(), pickled_);
}

}  // namespace torchdeploy
