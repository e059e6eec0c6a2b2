#include "runtime/src/load_everywhere.h"

#include <cstddef>
#include <future>
#include <memory>
#include <utility>
#include <vector>

#include "runtime/src/pool.h"
#include "runtime/src/replica_set.h"
#include "runtime/src/slot_scheduler.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

namespace {

Status FirstFailure(const std::vector<Status>& statuses) {
  for (const Status& status : statuses) {
    if (!status.ok()) {
      return status;
    }
  }
  return {};
}

Status LoadInTurn(ReplicaSet& replicas) {
  std::vector<Status> statuses;
  for (size_t slot = 0; slot < replicas.pool().size(); ++slot) {
    const Result<HeldSlot> held = HeldSlot::Acquire(replicas.pool().scheduler(), slot);
    statuses.push_back(held.ok() ? replicas.ReplicaIn(slot).status() : held.status());
  }
  return FirstFailure(statuses);
}

Status LoadSideBySide(const std::shared_ptr<ReplicaSet>& replicas) {
  std::vector<std::future<Status>> loading;
  for (size_t slot = 0; slot < replicas->pool().size(); ++slot) {
    auto loaded = std::make_shared<std::promise<Status>>();
    loading.push_back(loaded->get_future());
    SlotScheduler::Job job = [replicas, loaded](size_t held) {
      loaded->set_value(replicas->ReplicaIn(held).status());
    };
    Status accepted = replicas->pool().scheduler()->Submit(job, slot);
    if (!accepted.ok()) {
      loaded->set_value(std::move(accepted));
    }
  }
  std::vector<Status> statuses;
  statuses.reserve(loading.size());
  for (std::future<Status>& status : loading) {
    statuses.push_back(status.get());
  }
  return FirstFailure(statuses);
}

}  // namespace

Status LoadEverywhere(const std::shared_ptr<ReplicaSet>& replicas) {
  return replicas->pool().scheduler()->ThisThreadHoldsAny() ? LoadInTurn(*replicas)
                                                            : LoadSideBySide(replicas);
}

}  // namespace torchdeploy
