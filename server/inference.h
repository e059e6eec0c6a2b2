// One inference from its request to its response or responses, whatever carries them.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "server/log.h"
#include "server/model_registry.h"
#include "server/model_stream.h"
#include "server/queued_request.h"
#include "server/request_queue.h"
#include "server/request_times.h"
#include "server/shared_memory_regions.h"
#include "server/trace_context.h"
#include "server/tracer.h"
#include "torchdeploy/call_options.h"
#include "torchdeploy/manifest.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

#include "open_inference_grpc.pb.h"

namespace torchdeploy::server {

// Bytes of a request's id; a longer one is refused.
inline constexpr size_t kLongestId = size_t{64} << 10;

// What an inference finds around it; outlives it, but for `caller`.
struct Surroundings {
  const SharedMemoryRegions& regions;
  const Log& log;
  Tracer& tracer;
  std::optional<TraceContext> caller = {};  // The client's place in a trace.
};

// Decodes, has the model's queue answer, encodes; counts in the model's statistics. Thread-safe.
class Inference : public std::enable_shared_from_this<Inference> {
 public:
  enum class Part {
    kOnly,  // The response, or an error: nothing follows.
    kItem,  // One that the model yielded; Next() is to be called.
    kEnd,   // What the model yields is over. The response has no outputs.
  };
  // The response is complete, or there is an error. Runs where RequestQueue answers; an error may
  // come within Begin(), Next() or EndEarly().
  using Done = std::function<void(const Status&, Part)>;

  // `response` lives until `done` has been called, and is empty.
  Inference(std::shared_ptr<const inference::ModelInferRequest> request,
            inference::ModelInferResponse* response, std::shared_ptr<const Model> model,
            Surroundings surroundings, Done done);

  // Once. `done` is called exactly once, unless the model yields.
  void Begin();
  // Once for each kItem, with another, empty response, which lives on as the first does: `done` is
  // called exactly once more.
  void Next(inference::ModelInferResponse* response);
  // Also before Begin(), on another thread. Nothing when there is an answer and nothing follows.
  void EndEarly(const Status& status);

 private:
  Result<RequestQueue::Ticket> Submit();
  // Chooses manifest_. kInvalidArgument for a method that the model does not have.
  Status ChooseMethod(const std::string& method);
  // Makes it the begin of a stream.
  void BeginStream(Request& request);
  void Answer(const Result<Value>& result, const RequestTimes& times);
  void AnswerItem(const Result<Value>& item);
  void Finish(const Status& status, Part part);
  void Record(const Status& status);
  // The response's part of it.
  Status Encode(const Value& result);
  // All but the outputs.
  void EncodeHead();

  const std::shared_ptr<const inference::ModelInferRequest> request_;
  const std::shared_ptr<const Model> model_;
  const Surroundings surroundings_;
  const Done done_;
  const RequestTimes::TimePoint begin_ = std::chrono::steady_clock::now();
  const std::optional<TraceContext> trace_;  // Nothing when it is not traced.

  // Of the model, or of its method that is asked for. Constant once it is in the queue.
  const std::optional<Manifest>* manifest_;
  OutputSlices output_slices_;               // Constant once it is in the queue.
  RequestTimes times_;                       // Of the call that was answered first.
  inference::ModelInferResponse* response_;  // Of whoever answers next.

  std::mutex mutex_;
  // Guarded by mutex_.
  RequestQueue::Ticket ticket_;
  std::optional<Status> early_end_;
  std::shared_ptr<ModelStream> stream_;       // Null when nothing is yielded, or no more.
  std::optional<Cancellation> cancellation_;  // Of its calls.
  bool is_waiting_ = false;                   // For Next().
};

}  // namespace torchdeploy::server
