#include "server/inference.h"

#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "server/arguments.h"
#include "server/inference_statistics.h"
#include "server/log.h"
#include "server/model_registry.h"
#include "server/model_stream.h"
#include "server/name_list.h"
#include "server/queued_request.h"
#include "server/request_decoder.h"
#include "server/request_parameters.h"
#include "server/request_queue.h"
#include "server/request_times.h"
#include "server/response_encoder.h"
#include "server/sequences.h"
#include "server/shared_memory_regions.h"
#include "server/trace_input.h"
#include "torchdeploy/call_options.h"
#include "torchdeploy/manifest.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

#include "open_inference_grpc.pb.h"

namespace torchdeploy::server {

namespace {

// Source: docs/manifest.md, "Methods".
constexpr const char* kMethodPrefix = "method_";
constexpr size_t kLongestMethod = 256;  // Of a name in a message.

}  // namespace

Inference::Inference(std::shared_ptr<const inference::ModelInferRequest> request,
                     inference::ModelInferResponse* response, std::shared_ptr<const Model> model,
                     Surroundings surroundings, Done done)
    : request_(std::move(request)),
      model_(std::move(model)),
      surroundings_(std::move(surroundings)),
      done_(std::move(done)),
      trace_(surroundings_.tracer.Begin(model_->name, surroundings_.caller)),
      manifest_(&model_->manifest),
      response_(response) {}

void Inference::Begin() {
  const Result<RequestQueue::Ticket> ticket = Submit();
  if (!ticket.ok()) {
    Finish(ticket.status(), Part::kOnly);
    return;
  }
  std::optional<Status> early_end;
  {
    const std::lock_guard lock(mutex_);
    ticket_ = *ticket;
    early_end = early_end_;
  }
  if (early_end.has_value()) {
    ticket->EndEarly(*early_end);
  }
}

void Inference::Next(inference::ModelInferResponse* response) {
  std::shared_ptr<ModelStream> stream;
  std::optional<Status> early_end;
  {
    const std::lock_guard lock(mutex_);
    if (!std::exchange(is_waiting_, false)) {
      return;  // EndEarly() answers.
    }
    stream = stream_;
    early_end = early_end_;
    response_ = response;
  }
  if (early_end.has_value()) {
    AnswerItem(*early_end);
    return;
  }
  stream->Next([self = shared_from_this()](const Result<Value>& item) { self->AnswerItem(item); });
}

void Inference::EndEarly(const Status& status) {
  RequestQueue::Ticket ticket;
  std::optional<Cancellation> cancellation;
  bool is_waiting = false;
  {
    const std::lock_guard lock(mutex_);
    early_end_ = status;
    ticket = ticket_;
    cancellation = cancellation_;
    is_waiting = std::exchange(is_waiting_, false);
  }
  ticket.EndEarly(status);
  if (is_waiting) {
    AnswerItem(status);
  } else if (cancellation.has_value()) {
    cancellation->Cancel();
  }
}

Result<RequestQueue::Ticket> Inference::Submit() {
  if (request_->id().size() > kLongestId) {
    return Status(Code::kInvalidArgument, "the request's id has " +
                                              std::to_string(request_->id().size()) + " bytes; " +
                                              std::to_string(kLongestId) + " are the most");
  }
  const Result<RequestParameters> parameters = ReadParameters(*request_);
  if (!parameters.ok()) {
    return parameters.status();
  }
  if (Status status = ChooseMethod(parameters->method); !status.ok()) {
    return status;
  }
  Result<Arguments> arguments = DecodeRequest(request_, *manifest_, surroundings_.regions);
  if (!arguments.ok()) {
    return arguments.status();
  }
  Result<std::optional<SequenceStep>> sequence = std::optional<SequenceStep>();
  if (model_->queue->settings().sequences) {
    sequence = ReadSequence(*request_);
  }
  if (!sequence.ok()) {
    return sequence.status();
  }
  Result<OutputSlices> slices = surroundings_.regions.SlicesOfOutputs(*request_);
  if (!slices.ok()) {
    return slices.status();
  }
  output_slices_ = *std::move(slices);
  if (parameters->method.empty()) {
    AddTraceInput(model_->trace_input, trace_ ? trace_ : surroundings_.caller, *arguments);
  }
  Request request{
      .arguments = *std::move(arguments),
      .method = parameters->method.empty() ? "" : kMethodPrefix + parameters->method,
      .priority = parameters->priority,
      .sequence = *std::move(sequence),
      // On the interpreter's own thread, before it takes its next call: until then
      // nobody writes to the model's memory.
      .done = [self = shared_from_this()](const Result<Value>& result, const RequestTimes& times) {
        self->Answer(result, times);
      }};
  if (parameters->timeout.has_value()) {
    request.deadline = begin_ + *parameters->timeout;
  }
  if (*manifest_ && (*manifest_)->yields) {
    BeginStream(request);
  }
  return model_->queue->Submit(std::move(request));
}

Status Inference::ChooseMethod(const std::string& method) {
  if (method.empty()) {
    return {};
  }
  const auto found = model_->methods.find(method);
  if (found == model_->methods.end()) {
    std::vector<std::string> names;
    for (const auto& named : model_->methods) {
      names.push_back(named.first);
    }
    return {Code::kInvalidArgument,
            "method '" + method.substr(0, kLongestMethod) +
                "' is unknown; besides itself the model has: " + JoinNames(names)};
  }
  manifest_ = &found->second;
  return {};
}

void Inference::BeginStream(Request& request) {
  const Cancellation cancellation;
  const auto stream = model_->queue->NewStream({request.deadline, cancellation});
  request.method = ModelStream::kBegin;
  request.arguments.positional.insert(request.arguments.positional.begin(), stream->id());
  // Holds the stream until the call is over, whatever becomes of its answer.
  request.taken = [stream](size_t slot) { stream->SetSlot(slot); };
  const std::lock_guard lock(mutex_);
  stream_ = stream;
  cancellation_ = cancellation;
}

void Inference::Answer(const Result<Value>& result, const RequestTimes& times) {
  times_ = times;
  bool yields = false;
  {
    const std::lock_guard lock(mutex_);
    yields = stream_ != nullptr;
  }
  if (yields) {
    AnswerItem(result);
    return;
  }
  Finish(result.ok() ? Encode(*result) : result.status(), Part::kOnly);
}

void Inference::AnswerItem(const Result<Value>& item) {
  const bool is_end = item.ok() && item->is<None>();
  Status status = item.status();
  if (is_end) {
    EncodeHead();
  } else if (status.ok()) {
    status = Encode(*item);
  }
  bool goes_on = false;
  std::shared_ptr<ModelStream> over;  // Dropped without the lock.
  {
    const std::lock_guard lock(mutex_);
    // Who has given up reads this item no more, and asks for no other.
    status = early_end_.value_or(status);
    goes_on = status.ok() && !is_end;
    is_waiting_ = goes_on;
    if (!goes_on) {
      over = std::exchange(stream_, nullptr);
    }
  }
  if (goes_on) {
    done_({}, Part::kItem);
  } else {
    Finish(status, status.ok() ? Part::kEnd : Part::kOnly);
  }
}

void Inference::Finish(const Status& status, Part part) {
  Record(status);
  done_(status, part);
}

void Inference::Record(const Status& status) {
  const auto end = std::chrono::steady_clock::now();
  if (status.ok()) {
    model_->statistics->RecordSuccess(times_, begin_, end);
  } else {
    model_->statistics->RecordFailure(status.code(), begin_, end);
    surroundings_.log.Failure({model_->name, model_->version, request_->id(), status});
  }
  if (trace_) {
    surroundings_.tracer.End({.context = *trace_,
                              .caller = surroundings_.caller,
                              .model = model_->name,
                              .version = model_->version,
                              .id = request_->id(),
                              .begin = begin_,
                              .end = end,
                              .times = times_,
                              .status = status});
  }
}

Status Inference::Encode(const Value& result) {
  EncodeHead();
  const std::span<const TensorSpec> declared =
      *manifest_ ? std::span((*manifest_)->outputs) : std::span<const TensorSpec>();
  return EncodeResponse(result, declared, *request_, output_slices_, response_);
}

void Inference::EncodeHead() {
  response_->set_model_name(model_->name);
  response_->set_model_version(model_->version);
  response_->set_id(request_->id());
}

}  // namespace torchdeploy::server
