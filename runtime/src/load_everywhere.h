// Making all replicas of an object.
#pragma once

#include <memory>

#include "runtime/src/replica_set.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

// Makes the replica in every slot, side by side, and waits for that. The failure of the
// lowest slot is returned. A thread that holds a slot makes them one after the other, where
// a wait that could not end is seen: it fails with kFailedPrecondition.
Status LoadEverywhere(const std::shared_ptr<ReplicaSet>& replicas);

}  // namespace torchdeploy
