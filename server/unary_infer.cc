#include "server/unary_infer.h"

#include <memory>
#include <mutex>
#include <utility>

#include <grpcpp/grpcpp.h>

#include "server/inference.h"
#include "server/model_registry.h"
#include "server/status_mapping.h"
#include "torchdeploy/status.h"

#include "open_inference_grpc.pb.h"

namespace torchdeploy::server {

grpc::ServerUnaryReactor* UnaryInfer::Begin(
    grpc::CallbackServerContext* context,
    std::shared_ptr<const inference::ModelInferRequest> request,
    inference::ModelInferResponse* response, std::shared_ptr<const Model> model,
    Surroundings surroundings) {
  auto call = std::make_unique<UnaryInfer>();
  const auto inference = std::make_shared<Inference>(
      std::move(request), response, std::move(model), std::move(surroundings),
      [reactor = call.get(), context](const Status& status, Inference::Part /*only*/) {
        reactor->Finish(ToGrpcStatus(status, context));
      });
  {
    const std::lock_guard lock(call->mutex_);
    call->inference_ = inference;
  }
  inference->Begin();
  return call.release();  // Until OnDone().
}

void UnaryInfer::OnCancel() {
  std::shared_ptr<Inference> inference;
  {
    const std::lock_guard lock(mutex_);
    inference = inference_;
  }
  inference->EndEarly({Code::kCancelled, "The client gave up."});
}

void UnaryInfer::OnDone() {
  const std::unique_ptr<UnaryInfer> owned(this);
}

}  // namespace torchdeploy::server
