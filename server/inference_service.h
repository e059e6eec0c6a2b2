// The RPCs of the Open Inference Protocol.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>

#include <grpcpp/grpcpp.h>

#include "server/inference.h"
#include "server/log.h"
#include "server/model_control.h"
#include "server/model_registry.h"
#include "server/service_base.h"
#include "server/serving_gate.h"
#include "server/shared_memory_regions.h"
#include "server/stream_infer.h"
#include "server/tracer.h"
#include "torchdeploy/status.h"

#include "open_inference_grpc.pb.h"

namespace torchdeploy::server {

// Decodes, asks the registry or the runtime, encodes; has no queue and no thread of its own.
// Source: the protocol, /docs/protocol.md for what is decided where it is silent.
class InferenceService final : public ServiceBase {
 public:
  struct Options {
    bool allow_shared_memory = false;
    bool allow_settings = false;      // To be changed by clients: what is traced and logged.
    size_t most_bytes_in_flight = 0;  // Of requests; 0: no limit.
    Log log = {};
  };

  // `registry` and `tracer` outlive the service.
  InferenceService(const ModelRegistry& registry, Tracer& tracer, Options options);

  // To be called once the models of the start are in the registry: until then none is ready.
  // `control` outlives the service.
  void Open(ModelControl& control);

  // Refuses inferences from now on. As ServingGate::CloseAndWait().
  bool CloseAndWait(ServingGate::TimePoint latest = ServingGate::TimePoint::max()) {
    return gate_.CloseAndWait(latest);
  }

  grpc::ServerUnaryReactor* ServerLive(grpc::CallbackServerContext* context,
                                       const inference::ServerLiveRequest* request,
                                       inference::ServerLiveResponse* response) override;
  grpc::ServerUnaryReactor* ServerReady(grpc::CallbackServerContext* context,
                                        const inference::ServerReadyRequest* request,
                                        inference::ServerReadyResponse* response) override;
  grpc::ServerUnaryReactor* ModelReady(grpc::CallbackServerContext* context,
                                       const inference::ModelReadyRequest* request,
                                       inference::ModelReadyResponse* response) override;
  grpc::ServerUnaryReactor* ServerMetadata(grpc::CallbackServerContext* context,
                                           const inference::ServerMetadataRequest* request,
                                           inference::ServerMetadataResponse* response) override;
  grpc::ServerUnaryReactor* ModelMetadata(grpc::CallbackServerContext* context,
                                          const inference::ModelMetadataRequest* request,
                                          inference::ModelMetadataResponse* response) override;
  grpc::ServerUnaryReactor* ModelInfer(grpc::CallbackServerContext* context,
                                       const grpc::ByteBuffer* request,
                                       grpc::ByteBuffer* response) override;
  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* ModelStreamInfer(
      grpc::CallbackServerContext* context) override;

  // Triton's.
  grpc::ServerUnaryReactor* SystemSharedMemoryStatus(
      grpc::CallbackServerContext* context,
      const inference::SystemSharedMemoryStatusRequest* request,
      inference::SystemSharedMemoryStatusResponse* response) override;
  grpc::ServerUnaryReactor* SystemSharedMemoryRegister(
      grpc::CallbackServerContext* context,
      const inference::SystemSharedMemoryRegisterRequest* request,
      inference::SystemSharedMemoryRegisterResponse* response) override;
  grpc::ServerUnaryReactor* SystemSharedMemoryUnregister(
      grpc::CallbackServerContext* context,
      const inference::SystemSharedMemoryUnregisterRequest* request,
      inference::SystemSharedMemoryUnregisterResponse* response) override;
  grpc::ServerUnaryReactor* CudaSharedMemoryStatus(
      grpc::CallbackServerContext* context, const inference::CudaSharedMemoryStatusRequest* request,
      inference::CudaSharedMemoryStatusResponse* response) override;
  grpc::ServerUnaryReactor* CudaSharedMemoryRegister(
      grpc::CallbackServerContext* context,
      const inference::CudaSharedMemoryRegisterRequest* request,
      inference::CudaSharedMemoryRegisterResponse* response) override;
  grpc::ServerUnaryReactor* CudaSharedMemoryUnregister(
      grpc::CallbackServerContext* context,
      const inference::CudaSharedMemoryUnregisterRequest* request,
      inference::CudaSharedMemoryUnregisterResponse* response) override;
  grpc::ServerUnaryReactor* ModelConfig(grpc::CallbackServerContext* context,
                                        const inference::ModelConfigRequest* request,
                                        inference::ModelConfigResponse* response) override;
  grpc::ServerUnaryReactor* ModelStatistics(grpc::CallbackServerContext* context,
                                            const inference::ModelStatisticsRequest* request,
                                            inference::ModelStatisticsResponse* response) override;
  grpc::ServerUnaryReactor* RepositoryIndex(grpc::CallbackServerContext* context,
                                            const inference::RepositoryIndexRequest* request,
                                            inference::RepositoryIndexResponse* response) override;
  grpc::ServerUnaryReactor* RepositoryModelLoad(
      grpc::CallbackServerContext* context, const inference::RepositoryModelLoadRequest* request,
      inference::RepositoryModelLoadResponse* response) override;
  grpc::ServerUnaryReactor* RepositoryModelUnload(
      grpc::CallbackServerContext* context, const inference::RepositoryModelUnloadRequest* request,
      inference::RepositoryModelUnloadResponse* response) override;
  grpc::ServerUnaryReactor* TraceSetting(grpc::CallbackServerContext* context,
                                         const inference::TraceSettingRequest* request,
                                         inference::TraceSettingResponse* response) override;
  grpc::ServerUnaryReactor* LogSettings(grpc::CallbackServerContext* context,
                                        const inference::LogSettingsRequest* request,
                                        inference::LogSettingsResponse* response) override;

 private:
  // As the registry, and kUnavailable while models are loaded.
  [[nodiscard]] Result<std::shared_ptr<const Model>> FindLoaded(const std::string& name,
                                                                const std::string& version) const;

  // Those that the client may use.
  SharedMemoryRegions& RegionsOf(const grpc::CallbackServerContext& context);
  Surroundings SurroundingsOf(const grpc::CallbackServerContext& context);
  // kPermissionDenied unless clients may change settings.
  [[nodiscard]] Status MayChange() const;
  // As the gate, then as the registry.
  Result<Admission> Admit(const inference::ModelInferRequest& request);

  // kUnavailable unless the gate is open.
  Result<ModelControl*> Control();

  const ModelRegistry& registry_;
  Tracer& tracer_;
  const Log log_;
  const bool allow_settings_;
  ServingGate gate_;
  std::atomic<ModelControl*> control_ = nullptr;
  SharedMemoryRegions regions_;
  SharedMemoryRegions none_for_others_;
};

}  // namespace torchdeploy::server
