// A manager that the host's Python holds.
#pragma once

#include <memory>

#include "torchdeploy/interpreter_manager.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

// Closed and destroyed with the host's GIL held, which is given up while calls finish, since
// their callers need it.
class ManagerHandle {
 public:
  explicit ManagerHandle(std::unique_ptr<InterpreterManager> manager);
  ManagerHandle(const ManagerHandle&) = delete;
  ManagerHandle& operator=(const ManagerHandle&) = delete;
  ~ManagerHandle();

  [[nodiscard]] const InterpreterManager& manager() const { return *manager_; }

  // kFailedPrecondition in a callback of a future, whose call it would wait for.
  Status Close();

 private:
  std::unique_ptr<InterpreterManager> manager_;
};

}  // namespace torchdeploy
