// The RPC ModelInfer.
#pragma once

#include <memory>
#include <mutex>

#include <grpcpp/grpcpp.h>

#include "server/admission.h"
#include "server/inference.h"
#include "server/serving_gate.h"

#include "open_inference_grpc.pb.h"

namespace torchdeploy::server {

// Ended when its client gives up. gRPC owns it until the RPC is over.
class UnaryInfer final : public grpc::ServerUnaryReactor {
 public:
  // REQUIRES: the model does not yield. To be returned by the RPC's handler: until then gRPC calls
  // nothing here.
  static grpc::ServerUnaryReactor* Begin(
      grpc::CallbackServerContext* context,
      std::shared_ptr<const inference::ModelInferRequest> request, grpc::ByteBuffer* response,
      Admission admission, Surroundings surroundings);

  void OnCancel() override;
  void OnDone() override;

 private:
  std::unique_ptr<ServingGate::Pass> pass_;
  std::mutex mutex_;
  std::shared_ptr<Inference> inference_;  // Guarded by mutex_.
};

}  // namespace torchdeploy::server
