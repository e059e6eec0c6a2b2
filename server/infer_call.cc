#include "server/infer_call.h"

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <utility>

#include <grpcpp/grpcpp.h>

#include "server/arguments.h"
#include "server/inference_statistics.h"
#include "server/model_registry.h"
#include "server/queued_request.h"
#include "server/request_decoder.h"
#include "server/request_parameters.h"
#include "server/request_queue.h"
#include "server/request_times.h"
#include "server/response_encoder.h"
#include "server/status_mapping.h"
#include "torchdeploy/manifest.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

#include "open_inference_grpc.pb.h"

namespace torchdeploy::server {

grpc::ServerUnaryReactor* InferCall::Begin(
    grpc::CallbackServerContext* context,
    std::shared_ptr<const inference::ModelInferRequest> request,
    inference::ModelInferResponse* response, std::shared_ptr<const Model> model) {
  auto call = std::make_unique<InferCall>(context, std::move(request), response, std::move(model));
  if (const Status status = call->Submit(); !status.ok()) {
    call->Answer(status, {});
  }
  return call.release();  // Until OnDone().
}

InferCall::InferCall(grpc::CallbackServerContext* context,
                     std::shared_ptr<const inference::ModelInferRequest> request,
                     inference::ModelInferResponse* response, std::shared_ptr<const Model> model)
    : context_(context),
      request_(std::move(request)),
      response_(response),
      model_(std::move(model)) {}

Status InferCall::Submit() {
  const Result<RequestParameters> parameters = ReadParameters(*request_);
  if (!parameters.ok()) {
    return parameters.status();
  }
  Result<Arguments> arguments = DecodeRequest(request_, model_->manifest);
  if (!arguments.ok()) {
    return arguments.status();
  }
  Request request{.arguments = *std::move(arguments),
                  .priority = parameters->priority,
                  // On the interpreter's own thread, before it takes its next call: until then
                  // nobody writes to the model's memory.
                  .done = [this](const Result<Value>& result, const RequestTimes& times) {
                    Answer(result, times);
                  }};
  if (parameters->timeout.has_value()) {
    request.deadline = std::chrono::steady_clock::now() + *parameters->timeout;
  }
  Result<RequestQueue::Ticket> ticket = model_->queue->Submit(std::move(request));
  if (ticket.ok()) {
    const std::lock_guard lock(mutex_);
    ticket_ = *std::move(ticket);
  }
  return ticket.status();
}

void InferCall::Answer(const Result<Value>& result, const RequestTimes& times) {
  const Status status = result.ok() ? Encode(*result) : result.status();
  const auto end = std::chrono::steady_clock::now();
  if (status.ok()) {
    model_->statistics->RecordSuccess(times, begin_, end);
  } else {
    model_->statistics->RecordFailure(begin_, end);
  }
  Finish(ToGrpcStatus(status, context_));
}

Status InferCall::Encode(const Value& result) {
  response_->set_model_name(model_->name);
  response_->set_model_version(model_->version);
  response_->set_id(request_->id());
  const std::span<const TensorSpec> declared =
      model_->manifest ? std::span(model_->manifest->outputs) : std::span<const TensorSpec>();
  return EncodeResponse(result, declared, *request_, response_);
}

void InferCall::OnCancel() {
  RequestQueue::Ticket ticket;
  {
    const std::lock_guard lock(mutex_);
    ticket = ticket_;
  }
  ticket.EndEarly({Code::kCancelled, "The client gave up."});
}

void InferCall::OnDone() {
  const std::unique_ptr<InferCall> owned(this);
}

}  // namespace torchdeploy::server
