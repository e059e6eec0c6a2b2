// One inference from its request to its answer.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>

#include <grpcpp/grpcpp.h>

#include "server/model_registry.h"
#include "server/request_queue.h"
#include "server/request_times.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

#include "open_inference_grpc.pb.h"

namespace torchdeploy::server {

// Ended when its client gives up. gRPC owns it until the RPC is over.
class InferCall final : public grpc::ServerUnaryReactor {
 public:
  // Answers an error, or has the model's queue answer. To be returned by the RPC's handler: until
  // then gRPC calls nothing here.
  static grpc::ServerUnaryReactor* Begin(
      grpc::CallbackServerContext* context,
      std::shared_ptr<const inference::ModelInferRequest> request,
      inference::ModelInferResponse* response, std::shared_ptr<const Model> model);

  InferCall(grpc::CallbackServerContext* context,
            std::shared_ptr<const inference::ModelInferRequest> request,
            inference::ModelInferResponse* response, std::shared_ptr<const Model> model);

  void OnCancel() override;
  void OnDone() override;

 private:
  Status Submit();
  void Answer(const Result<Value>& result, const RequestTimes& times);
  // The response's part of it.
  Status Encode(const Value& result);

  grpc::CallbackServerContext* const context_;
  const std::shared_ptr<const inference::ModelInferRequest> request_;
  inference::ModelInferResponse* const response_;
  const std::shared_ptr<const Model> model_;
  const RequestTimes::TimePoint begin_ = std::chrono::steady_clock::now();

  std::mutex mutex_;
  RequestQueue::Ticket ticket_;  // Guarded by mutex_.
};

}  // namespace torchdeploy::server
