// An open session, known to its thread.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>

#include <torch/deploy.h>

#include "runtime/compat/src/manager_record.h"
#include "runtime/compat/src/status_error.h"
#include "torchdeploy/interpreter_session.h"
#include "torchdeploy/status.h"

namespace torch::deploy {

struct SessionRecord {
  SessionRecord(std::shared_ptr<ManagerRecord> of_manager,
                torchdeploy::InterpreterSession of_interpreter);
  SessionRecord(const SessionRecord&) = delete;
  SessionRecord& operator=(const SessionRecord&) = delete;
  ~SessionRecord();

  static InterpreterSession Open(std::shared_ptr<ManagerRecord> manager,
                                 torchdeploy::InterpreterSession native);

  // The slot of the last session of `manager` that this thread opened and still has.
  static std::optional<size_t> HeldSlot(const ManagerRecord& manager);

  // A session of any interpreter by `source`.AcquireSession(), as InterpreterManager::acquireOne().
  template <typename Source>
  static InterpreterSession AcquireAny(std::shared_ptr<ManagerRecord> manager,
                                       const Source& source) {
    torchdeploy::Result<torchdeploy::InterpreterSession> session = source.AcquireSession();
    // The wait could not end. Upstream shares interpreters then.
    if (session.status().code() == torchdeploy::Code::kFailedPrecondition) {
      if (const std::optional<size_t> held = HeldSlot(*manager)) {
        session = source.AcquireSession(held);
      }
    }
    return Open(std::move(manager), ValueOf(std::move(session)));
  }

  const std::shared_ptr<ManagerRecord> manager;
  torchdeploy::InterpreterSession native;
};

}  // namespace torch::deploy
