#include "server/stream_infer.h"

#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <utility>

#include <grpcpp/grpcpp.h>

#include "server/admission.h"
#include "server/infer_messages.h"
#include "server/inference.h"
#include "server/status_mapping.h"
#include "torchdeploy/status.h"

#include "open_inference_grpc.pb.h"

namespace torchdeploy::server {

namespace {

// Of one stream, not answered or with an answer that is not written.
constexpr size_t kMostExchanges = 256;

// Of answers that are not written; then no more is read.
constexpr size_t kMostUnreadBytes = size_t{64} << 20;

// Triton's.
constexpr const char* kErrorEndsStreamKey = "triton_grpc_error";
constexpr const char* kIsFinalResponse = "triton_final_response";
constexpr const char* kWantsEmptyEnd = "triton_enable_empty_final_response";

bool WantsEmptyEnd(const inference::ModelInferRequest& request) {
  const auto found = request.parameters().find(kWantsEmptyEnd);
  return found != request.parameters().end() && found->second.bool_param();
}

bool EndsAtError(const grpc::CallbackServerContext& context) {
  const auto found = context.client_metadata().find(kErrorEndsStreamKey);
  return found != context.client_metadata().end() && found->second == "true";
}

// The answer that the client gets.
void Complete(const inference::ModelInferRequest& request, const Status& status, bool is_final,
              inference::ModelStreamInferResponse& response) {
  auto* infer_response = response.mutable_infer_response();
  if (!status.ok()) {
    infer_response->Clear();
    if (request.id().size() <= kLongestId) {
      infer_response->set_id(request.id());
    }
    response.set_error_message(TextOf(status));
  }
  (*infer_response->mutable_parameters())[kIsFinalResponse].set_bool_param(is_final);
}

std::shared_ptr<inference::ModelStreamInferResponse> NewResponse() {
  return std::make_shared<inference::ModelStreamInferResponse>();
}

}  // namespace

StreamInfer* StreamInfer::Begin(grpc::CallbackServerContext* context, Admit admit,
                                Surroundings surroundings) {
  const auto stream =
      std::make_shared<StreamInfer>(context, std::move(admit), std::move(surroundings));
  const std::lock_guard lock(stream->mutex_);
  stream->self_ = stream;
  stream->Proceed();
  return stream.get();
}

StreamInfer::StreamInfer(grpc::CallbackServerContext* context, Admit admit,
                         Surroundings surroundings)
    : context_(context),
      admit_(std::move(admit)),
      surroundings_(std::move(surroundings)),
      ends_at_error_(EndsAtError(*context)) {}

void StreamInfer::OnReadDone(bool ok) {
  const std::shared_ptr<StreamInfer> self = shared_from_this();
  const auto exchange = std::make_shared<Exchange>();
  exchange->request = ok ? ReadRequest(incoming_) : nullptr;
  {
    const std::lock_guard lock(mutex_);
    is_reading_ = false;
    is_at_end_ = exchange->request == nullptr;
    if (ok && is_at_end_) {
      status_at_end_ = UnreadableRequest();
    }
    if (is_at_end_ || end_.has_value()) {
      Proceed();
      return;
    }
    running_.insert(exchange);
    is_beginning_ = true;
  }
  Run(exchange);
  const std::lock_guard lock(mutex_);
  is_beginning_ = false;
  Proceed();  // The next may be read while this one runs.
}

void StreamInfer::Run(const std::shared_ptr<Exchange>& exchange) {
  Result<Admission> admission = admit_(*exchange->request);
  if (!admission.ok()) {
    Answer(exchange, admission.status(), Inference::Part::kOnly);
    return;
  }
  const auto inference = std::make_shared<Inference>(
      exchange->request, exchange->response->mutable_infer_response(), std::move(admission->model),
      surroundings_,
      [self = shared_from_this(), exchange](const Status& status, Inference::Part part) {
        self->Answer(exchange, status, part);
      });
  {
    const std::lock_guard lock(mutex_);
    if (end_.has_value()) {
      return;
    }
    exchange->pass = std::move(admission->pass);
    exchange->inference = inference;
  }
  inference->Begin();
}

void StreamInfer::Answer(const std::shared_ptr<Exchange>& exchange, const Status& status,
                         Inference::Part part) {
  bool ends_all = false;
  std::shared_ptr<Inference> over;  // Dropped without the lock: it may hold a stream of the model.
  {
    const std::lock_guard lock(mutex_);
    const bool is_written = part != Inference::Part::kEnd || WantsEmptyEnd(*exchange->request);
    const auto response = std::exchange(exchange->response, NewResponse());
    Complete(*exchange->request, status, part != Inference::Part::kItem, *response);
    if (part != Inference::Part::kItem) {
      over = std::exchange(exchange->inference, nullptr);  // It holds this exchange.
      exchange->request = nullptr;
      running_.erase(exchange);
    }
    if (!end_.has_value() && !status.ok() && ends_at_error_) {
      // In this scope: a stream that nothing runs on any more would else end well.
      end_ = ToGrpcStatus(status, context_);
      ends_all = true;
    } else if (!end_.has_value() && is_written) {
      answered_.push_back({exchange, BytesOf(response)});
      unread_bytes_ += answered_.back().bytes.Length();
    }
    Proceed();
  }
  if (ends_all) {
    EndRunning();
  }
}

void StreamInfer::OnWriteDone(bool ok) {
  std::shared_ptr<Inference> written;
  inference::ModelInferResponse* next = nullptr;
  {
    const std::lock_guard lock(mutex_);
    is_writing_ = false;
    const Exchange& exchange = *answered_.front().exchange;
    unread_bytes_ -= answered_.front().bytes.Length();
    // Of an exchange that is over there is none.
    written = exchange.inference;
    next = exchange.response->mutable_infer_response();
    answered_.pop_front();
    if (ok) {
      Proceed();
    }
  }
  if (!ok) {
    OnCancel();
  } else if (written != nullptr) {
    written->Next(next);
  }
}

void StreamInfer::OnCancel() {
  {
    const std::lock_guard lock(mutex_);
    answered_.resize(is_writing_ ? 1 : 0);
    end_ = end_.value_or(grpc::Status::CANCELLED);
    Proceed();
  }
  EndRunning();
}

void StreamInfer::EndRunning() {
  std::set<std::shared_ptr<Exchange>> running;
  {
    const std::lock_guard lock(mutex_);
    running = running_;
  }
  for (const auto& exchange : running) {
    EndEarly(*exchange);
  }
}

void StreamInfer::EndEarly(const Exchange& exchange) {
  std::shared_ptr<Inference> inference;
  {
    const std::lock_guard lock(mutex_);
    inference = exchange.inference;
  }
  if (inference != nullptr) {
    inference->EndEarly({Code::kCancelled, "The stream has ended."});
  }
}

void StreamInfer::OnDone() {
  std::shared_ptr<StreamInfer> self;
  const std::lock_guard lock(mutex_);
  self = std::move(self_);
}

void StreamInfer::Proceed() {
  if (!is_writing_ && !answered_.empty()) {
    is_writing_ = true;
    StartWrite(&answered_.front().bytes);
  }
  if (IsOver()) {
    is_finished_ = true;
    Finish(end_.value_or(status_at_end_));
  } else if (MayRead()) {
    is_reading_ = true;
    StartRead(&incoming_);
  }
}

bool StreamInfer::IsOver() const {
  const bool is_answered = end_.has_value() || (is_at_end_ && running_.empty());
  return is_answered && answered_.empty() && !is_finished_;
}

bool StreamInfer::MayRead() const {
  return !is_reading_ && !is_beginning_ && !is_at_end_ && !end_.has_value() &&
         running_.size() + answered_.size() < kMostExchanges && unread_bytes_ < kMostUnreadBytes;
}

}  // namespace torchdeploy::server
