#include "runtime/src/session_state.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "runtime/src/pool.h"
#include "runtime/src/slot_scheduler.h"
#include "torchdeploy/obj.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

Result<std::shared_ptr<SessionState>> SessionState::Begin(std::shared_ptr<Pool> pool,
                                                          std::optional<size_t> wanted) {
  Result<HeldSlot> held = HeldSlot::Acquire(pool->scheduler(), wanted);
  if (!held.ok()) {
    return held.status();
  }
  return std::make_shared<SessionState>(std::move(pool), *std::move(held));
}

Status SessionState::CheckUsable() const {
  if (std::this_thread::get_id() != thread_) {
    return {Code::kFailedPrecondition,
            "A session and its objects can be used only on the thread that made the session."};
  }
  if (ended_.load()) {
    return {Code::kFailedPrecondition, "The session of this object has ended."};
  }
  return {};
}

void SessionState::End() {
  ended_.store(true);
  self = Obj();  // It refers to this: a circle that must be broken here.
  opened_for.reset();
  package.reset();
  held_.reset();
}

}  // namespace torchdeploy
