// The replicas of one object.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "interpreter_lib/abi/interp_abi.h"
#include "runtime/src/engine_object.h"
#include "runtime/src/objects_by_slot.h"
#include "runtime/src/package_state.h"
#include "runtime/src/pool.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

namespace torchdeploy {

// Thread-safe by slots: what belongs to one is touched only by the thread that holds it.
class ReplicaSet {
 public:
  ReplicaSet(const ReplicaSet&) = delete;
  ReplicaSet& operator=(const ReplicaSet&) = delete;
  virtual ~ReplicaSet() = default;

  [[nodiscard]] const std::shared_ptr<Pool>& pool() const { return pool_; }
  // The archive whose code the object is made of; null for none.
  [[nodiscard]] const std::shared_ptr<PackageState>& package() const { return package_; }

  // The replica, made at the first use in the slot; after a failure the next use tries again.
  // REQUIRES: this thread holds `slot`.
  Result<std::shared_ptr<const EngineObject>> ReplicaIn(size_t slot);
  // The next use in the slot makes it again. REQUIRES: as above.
  void DropReplicaIn(size_t slot) { replicas_.Drop(slot); }

 protected:
  ReplicaSet(std::shared_ptr<Pool> pool, std::shared_ptr<PackageState> package)
      : pool_(std::move(pool)), package_(std::move(package)) {}

 private:
  virtual Result<td_object> MakeIn(size_t slot, Engine& engine) = 0;

  const std::shared_ptr<Pool> pool_;
  const std::shared_ptr<PackageState> package_;
  ObjectsBySlot replicas_;
};

// Of a pickle in an archive.
class PickleReplicas : public ReplicaSet {
 public:
  PickleReplicas(const std::shared_ptr<PackageState>& package, std::string pickle_package,
                 std::string pickle_resource);

 private:
  Result<td_object> MakeIn(size_t slot, Engine& engine) override;

  const std::string pickle_package_;
  const std::string pickle_resource_;
};

// Of an object that was pickled in one interpreter; their tensors share its memory.
class MovableReplicas : public ReplicaSet {
 public:
  // `package` (null: none) is the one whose importer `pickled` was made with.
  MovableReplicas(std::shared_ptr<Pool> pool, std::shared_ptr<PackageState> package, Value pickled);

 private:
  Result<td_object> MakeIn(size_t slot, Engine& engine) override;

  const Value pickled_;
};

}  // namespace torchdeploy
