#include "runtime/compat/src/session_record.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <torch/deploy.h>

#include "runtime/compat/src/manager_record.h"
#include "torchdeploy/interpreter_session.h"

namespace torch::deploy {

namespace {

thread_local std::vector<const SessionRecord*> sessions_of_this_thread;

}  // namespace

SessionRecord::SessionRecord(std::shared_ptr<ManagerRecord> of_manager,
                             torchdeploy::InterpreterSession of_interpreter)
    : manager(std::move(of_manager)), native(std::move(of_interpreter)) {
  sessions_of_this_thread.push_back(this);
}

SessionRecord::~SessionRecord() {
  std::erase(sessions_of_this_thread, this);
}

InterpreterSession SessionRecord::Open(std::shared_ptr<ManagerRecord> manager,
                                       torchdeploy::InterpreterSession native) {
  InterpreterSession session(
      std::make_unique<SessionRecord>(std::move(manager), std::move(native)));
  session.self = Obj(session.record_->native.self());
  return session;
}

std::optional<size_t> SessionRecord::HeldSlot(const ManagerRecord& manager) {
  const auto& sessions = sessions_of_this_thread;
  const auto last = std::find_if(sessions.rbegin(), sessions.rend(), [&](const auto* session) {
    return session->manager.get() == &manager;
  });
  if (last == sessions.rend()) {
    return std::nullopt;
  }
  return (*last)->native.slot();
}

}  // namespace torch::deploy
