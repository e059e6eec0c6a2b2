// A call that may end before it has an answer.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "runtime/src/endable_call.h"
#include "runtime/src/engine.h"
#include "runtime/src/replica_set.h"
#include "runtime/src/value_crossing.h"
#include "torchdeploy/call_options.h"
#include "torchdeploy/replicated_obj.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

namespace torchdeploy {

// Of a replica, or of one of its attributes.
struct ReplicaCall {
  std::shared_ptr<ReplicaSet> replicas;
  std::vector<Value> args;
  Kwargs kwargs;
  AliasedTensors aliased;
  std::string method = {};  // Empty: the replica itself.
};

// Runs on an interpreter's own thread, so that nobody else hangs with it. Thread-safe.
class WatchedCall : public EndableCall, public std::enable_shared_from_this<WatchedCall> {
 public:
  // `done` is called exactly once, also when the call is refused. Never waits.
  static void Begin(ReplicaCall request, const CallOptions& options, ReplicatedObj::Callback done);
  // The same on this thread. REQUIRES: it is the own thread of the interpreter at `slot`, and
  // holds it.
  static void BeginIn(size_t slot, ReplicaCall request, const CallOptions& options,
                      ReplicatedObj::Callback done);

  WatchedCall(ReplicaCall request, ReplicatedObj::Callback done);

  void EndEarly(const Status& status) override;
  bool Interrupt() override;
  void LeaveBehind() override;

 private:
  // Null when it was cancelled before, which is then answered.
  static std::shared_ptr<WatchedCall> Make(ReplicaCall request, const CallOptions& options,
                                           ReplicatedObj::Callback done);
  void RunIn(size_t slot);
  void Answer(Result<Value> result);
  bool InterruptLocked();

  const ReplicaCall request_;

  std::mutex mutex_;
  // Guarded by mutex_.
  ReplicatedObj::Callback done_;  // Empty once there is an answer.
  Engine* running_in_ = nullptr;  // Null before and after it runs.
  size_t slot_ = 0;
};

// Calls `done`, which must not throw.
void Deliver(const ReplicatedObj::Callback& done, Result<Value> result);

// The call itself, on this thread. REQUIRES: this thread holds `slot`.
Result<Value> CallIn(size_t slot, const ReplicaCall& call);

}  // namespace torchdeploy
