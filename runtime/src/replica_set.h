// The replicas of one pickled object.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "runtime/src/engine_object.h"
#include "runtime/src/package_state.h"
#include "runtime/src/pool.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

// Thread-safe by slots: what belongs to one is touched only by the thread that holds it.
class ReplicaSet {
 public:
  ReplicaSet(std::shared_ptr<PackageState> package, std::string pickle_package,
             std::string pickle_resource);
  ReplicaSet(const ReplicaSet&) = delete;
  ReplicaSet& operator=(const ReplicaSet&) = delete;

  [[nodiscard]] const Pool& pool() const { return package_->pool(); }

  // The replica, made at the first use in the slot; after a failure the next use tries again.
  // REQUIRES: this thread holds `slot`.
  Result<std::shared_ptr<const EngineObject>> ReplicaIn(size_t slot);

 private:
  const std::shared_ptr<PackageState> package_;
  const std::string pickle_package_;
  const std::string pickle_resource_;
  std::vector<std::shared_ptr<const EngineObject>> replicas_;  // By slot; null: not made yet.
};

}  // namespace torchdeploy
