// One inference from its request to its response, whatever carries them.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include "server/model_registry.h"
#include "server/request_queue.h"
#include "server/request_times.h"
#include "server/shared_memory_regions.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

#include "open_inference_grpc.pb.h"

namespace torchdeploy::server {

// Bytes of a request's id; a longer one is refused.
inline constexpr size_t kLongestId = size_t{64} << 10;

// Decodes, has the model's queue answer, encodes; counts in the model's statistics. Thread-safe.
class Inference : public std::enable_shared_from_this<Inference> {
 public:
  // The response is complete, or there is an error. Runs where RequestQueue answers; an error may
  // come within Begin() or EndEarly().
  using Done = std::function<void(const Status&)>;

  // `regions` outlive this; `response` lives until `done` has been called.
  Inference(std::shared_ptr<const inference::ModelInferRequest> request,
            inference::ModelInferResponse* response, std::shared_ptr<const Model> model,
            const SharedMemoryRegions& regions, Done done);

  // Once. `done` is called exactly once.
  void Begin();
  // Also before Begin(), on another thread. Nothing when there is an answer.
  void EndEarly(const Status& status);

 private:
  Result<RequestQueue::Ticket> Submit();
  void Answer(const Result<Value>& result, const RequestTimes& times);
  // The response's part of it.
  Status Encode(const Value& result);

  const std::shared_ptr<const inference::ModelInferRequest> request_;
  inference::ModelInferResponse* const response_;
  const std::shared_ptr<const Model> model_;
  const SharedMemoryRegions& regions_;
  const Done done_;
  const RequestTimes::TimePoint begin_ = std::chrono::steady_clock::now();

  OutputSlices output_slices_;  // Constant once it is in the queue.

  std::mutex mutex_;
  // Guarded by mutex_.
  RequestQueue::Ticket ticket_;
  std::optional<Status> early_end_;
};

}  // namespace torchdeploy::server
