#include "server/unary_infer.h"

#include <memory>
#include <mutex>
#include <utility>

#include <grpcpp/grpcpp.h>

#include "server/admission.h"
#include "server/infer_messages.h"
#include "server/inference.h"
#include "server/status_mapping.h"
#include "torchdeploy/status.h"

#include "open_inference_grpc.pb.h"

namespace torchdeploy::server {

grpc::ServerUnaryReactor* UnaryInfer::Begin(
    grpc::CallbackServerContext* context,
    std::shared_ptr<const inference::ModelInferRequest> request, grpc::ByteBuffer* response,
    Admission admission, Surroundings surroundings) {
  auto call = std::make_unique<UnaryInfer>();
  call->pass_ = std::move(admission.pass);
  auto message = std::make_shared<inference::ModelInferResponse>();
  auto* const encoded = message.get();
  const auto inference = std::make_shared<Inference>(
      std::move(request), encoded, std::move(admission.model), std::move(surroundings),
      [reactor = call.get(), context, response, message = std::move(message)](
          const Status& status, Inference::Part /*only*/) {
        if (status.ok()) {
          *response = BytesOf(message);
        }
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
