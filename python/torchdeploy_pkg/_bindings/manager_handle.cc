#include "python/torchdeploy_pkg/_bindings/manager_handle.h"

#include <memory>
#include <thread>
#include <utility>

#include "torchdeploy/interpreter_manager.h"
#include "torchdeploy/status.h"

#include "python/torchdeploy_pkg/_bindings/async_call.h"
#include "python/torchdeploy_pkg/_bindings/without_gil.h"

namespace torchdeploy {

ManagerHandle::ManagerHandle(std::unique_ptr<InterpreterManager> manager)
    : manager_(std::move(manager)) {}

ManagerHandle::~ManagerHandle() {
  if (IsSettlingFuture()) {
    // Destruction waits for the call whose callback this is, so it must be elsewhere.
    std::thread([manager = std::move(manager_)]() mutable { manager.reset(); }).detach();
    return;
  }
  const WithoutGil without_gil;
  manager_.reset();
}

Status ManagerHandle::Close() {
  if (IsSettlingFuture()) {
    return {Code::kFailedPrecondition,
            "A manager cannot be closed in a callback of a future: close() waits for the call "
            "whose callback this is."};
  }
  const WithoutGil without_gil;
  manager_->Close();
  return {};
}

}  // namespace torchdeploy
