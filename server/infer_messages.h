// Request and response of one inference, with lifetimes of their own.
#pragma once

#include <memory>
#include <utility>

#include <grpcpp/grpcpp.h>

#include "server/serving_gate.h"

#include "open_inference_grpc.pb.h"

namespace torchdeploy::server {

// Input tensors are views of the request. A model may keep one beyond its call, so the request
// lives as long as the last of them, not as long as the call.
class InferMessages
    : public grpc::MessageHolder<inference::ModelInferRequest, inference::ModelInferResponse> {
 public:
  InferMessages() {
    set_request(request_.get());
    set_response(&response_);
  }
  // gRPC's: the call has ended.
  void Release() override { delete this; }

  [[nodiscard]] std::shared_ptr<const inference::ModelInferRequest> shared_request() const {
    return request_;
  }

  // Gives the pass back when the call has ended.
  void Hold(std::unique_ptr<ServingGate::Pass> pass) { pass_ = std::move(pass); }

 private:
  std::unique_ptr<ServingGate::Pass> pass_;
  std::shared_ptr<inference::ModelInferRequest> request_ =
      std::make_shared<inference::ModelInferRequest>();
  inference::ModelInferResponse response_;
};

class InferMessageAllocator
    : public grpc::MessageAllocator<inference::ModelInferRequest, inference::ModelInferResponse> {
 public:
  // Owned by the call until gRPC calls Release().
  InferMessages* AllocateMessages() override { return std::make_unique<InferMessages>().release(); }
};

}  // namespace torchdeploy::server
