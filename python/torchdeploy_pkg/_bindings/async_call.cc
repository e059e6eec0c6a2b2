#include "python/torchdeploy_pkg/_bindings/async_call.h"

#include <memory>
#include <utility>
#include <vector>

#include <pybind11/pybind11.h>

#include "torchdeploy/call_options.h"
#include "torchdeploy/replicated_obj.h"
#include "torchdeploy/status.h"
#include "torchdeploy/tensor.h"
#include "torchdeploy/value.h"

#include "python/torchdeploy_pkg/_bindings/host_entries.h"
#include "python/torchdeploy_pkg/_bindings/host_python.h"
#include "python/torchdeploy_pkg/_bindings/owner_releases.h"
#include "python/torchdeploy_pkg/_bindings/value_crossing.h"

namespace torchdeploy {

namespace py = pybind11;

namespace {

thread_local bool settling_future = false;

Status CloneTensors(Value& value);

Status CloneItems(std::vector<Value>& items) {
  for (Value& item : items) {
    if (Status status = CloneTensors(item); !status.ok()) {
      return status;
    }
  }
  return {};
}

Status CloneItems(Dict& pairs) {
  for (auto& [key, item] : pairs) {
    if (Status status = CloneTensors(item); !status.ok()) {
      return status;
    }
  }
  return {};
}

// Gives each tensor memory of its own.
Status CloneTensors(Value& value) {
  if (auto* const tensor = value.get<Tensor>()) {
    Result<Tensor> copy = tensor->Clone();
    if (!copy.ok()) {
      return copy.status();
    }
    *tensor = *std::move(copy);
    return {};
  }
  if (auto* const list = value.get<List>()) {
    return CloneItems(*list);
  }
  if (auto* const tuple = value.get<Tuple>()) {
    return CloneItems(tuple->items);
  }
  auto* const dict = value.get<Dict>();
  return dict != nullptr ? CloneItems(*dict) : Status();
}

Result<Value> CloneResult(Result<Value> result) {
  if (result.ok()) {
    if (Status status = CloneTensors(*result); !status.ok()) {
      return status;
    }
  }
  return result;
}

// The future of one call. Its Python objects go in Settle(), with the GIL.
class PendingResult {
 public:
  PendingResult(const HostPython& host, py::object future)
      : host_(std::make_unique<HostPython>(host)), future_(std::move(future)) {}

  // Once, without the host's GIL, on any thread.
  void Settle(Result<Value> shared) {
    const Result<Value> result = CloneResult(std::move(shared));
    if (!HostEntries::OfProcess().BeginToSettle()) {
      [[maybe_unused]] const HostPython* const leaked = host_.release();
      future_.release();
      return;
    }
    SetWithGil(result);
    HostEntries::OfProcess().EndToSettle();
  }

 private:
  void SetWithGil(const Result<Value>& result) {
    const py::gil_scoped_acquire gil;
    settling_future = true;
    OwnerReleases::OfProcess().Drain();
    try {
      if (future_.attr("set_running_or_notify_cancel")().cast<bool>()) {
        Set(result);
      }
    } catch (py::error_already_set& error) {
      // A callback of the future raised what is no Exception, such as SystemExit.
      error.discard_as_unraisable("a callback of a future of torchdeploy_pkg");
    }
    future_ = py::object();
    host_.reset();
    settling_future = false;
  }

  void Set(const Result<Value>& result) {
    if (!result.ok()) {
      future_.attr("set_exception")(host_->ErrorOf(result.status()));
      return;
    }
    py::object value;
    try {
      value = ToPython(*host_, *result);
    } catch (py::error_already_set& error) {
      future_.attr("set_exception")(error.value());
      return;
    }
    future_.attr("set_result")(value);
  }

  std::unique_ptr<HostPython> host_;
  py::object future_;
};

}  // namespace

Cancellation CallIntoFuture(const ReplicatedObj& object, std::vector<Value> args, Kwargs kwargs,
                            CallOptions options, const HostPython& host, const py::object& future) {
  const auto pending = std::make_shared<PendingResult>(host, future);
  const Cancellation cancellation;
  options.cancellation = cancellation;
  const WithoutHostGil without_gil;
  object.CallAsync(
      std::move(args), std::move(kwargs),
      [pending](Result<Value> result) { pending->Settle(std::move(result)); }, options);
  return cancellation;
}

bool IsSettlingFuture() {
  return settling_future;
}

}  // namespace torchdeploy
