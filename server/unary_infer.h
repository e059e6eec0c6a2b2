// The RPC ModelInfer.
#pragma once

#include <memory>
#include <mutex>

#include <grpcpp/grpcpp.h>

#include "server/inference.h"
#include "server/log.h"
#include "server/model_registry.h"
#include "server/shared_memory_regions.h"
#include "torchdeploy/status.h"

#include "open_inference_grpc.pb.h"

namespace torchdeploy::server {

// Ended when its client gives up. gRPC owns it until the RPC is over.
class UnaryInfer final : public grpc::ServerUnaryReactor {
 public:
  // REQUIRES: the model does not yield. `regions` and `log` outlive the call. To be returned by the
  // RPC's handler: until then gRPC calls nothing here.
  static grpc::ServerUnaryReactor* Begin(
      grpc::CallbackServerContext* context,
      std::shared_ptr<const inference::ModelInferRequest> request,
      inference::ModelInferResponse* response, std::shared_ptr<const Model> model,
      const SharedMemoryRegions& regions, const Log& log);

  void OnCancel() override;
  void OnDone() override;

 private:
  std::mutex mutex_;
  std::shared_ptr<Inference> inference_;  // Guarded by mutex_.
};

}  // namespace torchdeploy::server
