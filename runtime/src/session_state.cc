#include "runtime/src/session_state.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "runtime/src/engine.h"
#include "runtime/src/pool.h"
#include "runtime/src/slot_scheduler.h"
#include "torchdeploy/obj.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

Result<std::shared_ptr<SessionState>> SessionState::Begin(const Pool& pool,
                                                          std::optional<size_t> wanted) {
  if (wanted.has_value() && *wanted >= pool.size()) {
    return Status(Code::kInvalidArgument, "There is no slot " + std::to_string(*wanted) +
                                              "; expected 0 to " + std::to_string(pool.size() - 1) +
                                              ".");
  }
  Result<HeldSlot> held = HeldSlot::Acquire(pool.scheduler(), wanted);
  if (!held.ok()) {
    return held.status();
  }
  Engine& engine = pool.interpreter(held->slot()).engine();
  return std::make_shared<SessionState>(engine, *std::move(held));
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
  held_.reset();
}

}  // namespace torchdeploy
