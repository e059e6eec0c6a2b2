#include "python/torchdeploy_pkg/_bindings/manager_handle.h"

#include <memory>
#include <thread>
#include <utility>

#include <pybind11/pybind11.h>

#include "torchdeploy/interpreter_manager.h"
#include "torchdeploy/status.h"

#include "python/torchdeploy_pkg/_bindings/async_call.h"
#include "python/torchdeploy_pkg/_bindings/host_entries.h"

namespace torchdeploy {

namespace py = pybind11;

ManagerHandle::ManagerHandle(std::unique_ptr<InterpreterManager> manager)
    : manager_(std::move(manager)) {}

// pybind11 throws only where it cannot be set up at all.
ManagerHandle::~ManagerHandle() {  // NOLINT(bugprone-exception-escape)
  if (IsSettlingFuture()) {
    // Destruction waits for the call whose callback this is, so it must be elsewhere.
    std::thread([manager = std::move(manager_)]() mutable { manager.reset(); }).detach();
    return;
  }
  if (HostEntries::OfProcess().is_over()) {
    // It would wait for the calls that the end has given up on, or that the parent runs.
    [[maybe_unused]] const InterpreterManager* const leaked = manager_.release();
    return;
  }
  const HostEntry entry;
  const WithoutHostGil without_gil;
  manager_.reset();
}

Status ManagerHandle::Close() {
  if (IsSettlingFuture()) {
    return {Code::kFailedPrecondition,
            "A manager cannot be closed in a callback of a future: close() waits for the call "
            "whose callback this is."};
  }
  const WithoutHostGil without_gil;
  manager_->Close();
  return {};
}

}  // namespace torchdeploy
