#include "server/inference_service.h"

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <grpcpp/grpcpp.h>

#include "server/admission.h"
#include "server/infer_messages.h"
#include "server/inference.h"
#include "server/log.h"
#include "server/log_settings_rpcs.h"
#include "server/model_control.h"
#include "server/model_descriptions.h"
#include "server/model_registry.h"
#include "server/repository_rpcs.h"
#include "server/request_parameters.h"
#include "server/serving_gate.h"
#include "server/shared_memory_regions.h"
#include "server/shared_memory_rpcs.h"
#include "server/status_mapping.h"
#include "server/stream_infer.h"
#include "server/trace_context.h"
#include "server/trace_settings_rpcs.h"
#include "server/tracer.h"
#include "server/unary_infer.h"
#include "server/version.h"
#include "torchdeploy/manifest.h"
#include "torchdeploy/status.h"

#include "open_inference_grpc.pb.h"

namespace torchdeploy::server {

namespace {

constexpr const char* kServerName = "torchdeploy";
// By Triton's names; only what is there: a client uses each that it knows.
constexpr std::array kExtensions = {"logging",  "model_configuration", "schedule_policy",
                                    "sequence", "statistics",          "trace"};
constexpr const char* kSharedMemoryExtension = "system_shared_memory";
constexpr const char* kModelControlExtension = "model_repository";
constexpr const char* kSharedMemoryIsOff =
    "this server takes no shared memory: it was started without --allow-shared-memory";
constexpr const char* kSharedMemoryIsLocal =
    "shared memory is for clients on the server's machine that connect over its loopback address";

grpc::ServerUnaryReactor* FinishWith(grpc::CallbackServerContext* context, const Status& status) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpcStatus(status, context));
  return reactor;
}

}  // namespace

InferenceService::InferenceService(const ModelRegistry& registry, Tracer& tracer, Options options)
    : registry_(registry),
      tracer_(tracer),
      log_(std::move(options.log)),
      allow_settings_(options.allow_settings),
      gate_(options.most_bytes_in_flight),
      regions_(options.allow_shared_memory ? "" : kSharedMemoryIsOff),
      none_for_others_(kSharedMemoryIsLocal) {}

void InferenceService::Open(ModelControl& control) {
  control_ = &control;
  gate_.Open();
}

Result<ModelControl*> InferenceService::Control() {
  if (gate_.state() != ServingGate::State::kOpen) {
    return gate_.WhyClosed();
  }
  return control_.load();
}

Result<std::shared_ptr<const Model>> InferenceService::FindLoaded(
    const std::string& name, const std::string& version) const {
  if (gate_.state() == ServingGate::State::kLoading) {
    return gate_.WhyClosed();
  }
  return registry_.Find(name, version);
}

SharedMemoryRegions& InferenceService::RegionsOf(const grpc::CallbackServerContext& context) {
  const bool may_use = !regions_.takes_any() || IsOnThisMachine(context.peer());
  return may_use ? regions_ : none_for_others_;
}

Surroundings InferenceService::SurroundingsOf(const grpc::CallbackServerContext& context) {
  return {RegionsOf(context), log_, tracer_, TraceContextOf(context)};
}

Status InferenceService::MayChange() const {
  return allow_settings_ ? Status()
                         : Status(Code::kPermissionDenied,
                                  "clients change no settings here: the server was started without "
                                  "--allow-settings");
}

Result<Admission> InferenceService::Admit(const inference::ModelInferRequest& request) {
  Result<std::unique_ptr<ServingGate::Pass>> pass =
      gate_.Enter(gate_.counts_bytes() ? request.ByteSizeLong() : 0);
  Result<std::shared_ptr<const Model>> model =
      pass.ok() ? registry_.Find(request.model_name(), request.model_version())
                : Result<std::shared_ptr<const Model>>(pass.status());
  if (!model.ok()) {
    log_.Failure({request.model_name(), request.model_version(), request.id(), model.status()});
    return model.status();
  }
  return Admission{*std::move(pass), *std::move(model)};
}

grpc::ServerUnaryReactor* InferenceService::ServerLive(
    grpc::CallbackServerContext* context, const inference::ServerLiveRequest* /*request*/,
    inference::ServerLiveResponse* response) {
  response->set_live(true);
  return FinishWith(context, {});
}

grpc::ServerUnaryReactor* InferenceService::ServerReady(
    grpc::CallbackServerContext* context, const inference::ServerReadyRequest* /*request*/,
    inference::ServerReadyResponse* response) {
  response->set_ready(gate_.state() == ServingGate::State::kOpen);
  return FinishWith(context, {});
}

grpc::ServerUnaryReactor* InferenceService::ModelReady(grpc::CallbackServerContext* context,
                                                       const inference::ModelReadyRequest* request,
                                                       inference::ModelReadyResponse* response) {
  // A model that is not there is not ready; that is an answer, no error.
  response->set_ready(gate_.state() == ServingGate::State::kOpen &&
                      registry_.Find(request->name(), request->version()).ok());
  return FinishWith(context, {});
}

grpc::ServerUnaryReactor* InferenceService::ServerMetadata(
    grpc::CallbackServerContext* context, const inference::ServerMetadataRequest* /*request*/,
    inference::ServerMetadataResponse* response) {
  response->set_name(kServerName);
  response->set_version(kVersion);
  for (const char* extension : kExtensions) {
    response->add_extensions(extension);
  }
  if (RegionsOf(*context).takes_any()) {
    response->add_extensions(kSharedMemoryExtension);
  }
  const ModelControl* control = control_;
  if (control != nullptr && control->takes_requests()) {
    response->add_extensions(kModelControlExtension);
  }
  return FinishWith(context, {});
}

grpc::ServerUnaryReactor* InferenceService::ModelMetadata(
    grpc::CallbackServerContext* context, const inference::ModelMetadataRequest* request,
    inference::ModelMetadataResponse* response) {
  const auto model = FindLoaded(request->name(), request->version());
  if (!model.ok()) {
    return FinishWith(context, model.status());
  }
  DescribeMetadata(**model, registry_.Versions((*model)->name), response);
  return FinishWith(context, {});
}

grpc::ServerUnaryReactor* InferenceService::ModelInfer(grpc::CallbackServerContext* context,
                                                       const grpc::ByteBuffer* request,
                                                       grpc::ByteBuffer* response) {
  // gRPC made it, not const, and would keep it to the end of the call.
  const std::shared_ptr<const inference::ModelInferRequest> message =
      ReadRequest(const_cast<grpc::ByteBuffer&>(*request));
  if (message == nullptr) {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(UnreadableRequest());
    return reactor;
  }
  Result<Admission> admission = Admit(*message);
  if (!admission.ok()) {
    return FinishWith(context, admission.status());
  }
  if (const std::optional<Manifest>& manifest = admission->model->manifest;
      manifest && manifest->yields && !message->parameters().contains(kMethodParameter)) {
    return FinishWith(context, {Code::kUnimplemented, "model '" + message->model_name() +
                                                          "' yields its answers: ask for them by "
                                                          "ModelStreamInfer"});
  }
  return UnaryInfer::Begin(context, message, response, *std::move(admission),
                           SurroundingsOf(*context));
}

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* InferenceService::ModelStreamInfer(
    grpc::CallbackServerContext* context) {
  return StreamInfer::Begin(
      context, [this](const inference::ModelInferRequest& request) { return Admit(request); },
      SurroundingsOf(*context));
}

grpc::ServerUnaryReactor* InferenceService::SystemSharedMemoryStatus(
    grpc::CallbackServerContext* context, const inference::SystemSharedMemoryStatusRequest* request,
    inference::SystemSharedMemoryStatusResponse* response) {
  return FinishWith(context, DescribeSystemMemory(request->name(), RegionsOf(*context), response));
}

grpc::ServerUnaryReactor* InferenceService::SystemSharedMemoryRegister(
    grpc::CallbackServerContext* context,
    const inference::SystemSharedMemoryRegisterRequest* request,
    inference::SystemSharedMemoryRegisterResponse* /*response*/) {
  return FinishWith(context, RegisterSystemMemory(*request, RegionsOf(*context)));
}

grpc::ServerUnaryReactor* InferenceService::SystemSharedMemoryUnregister(
    grpc::CallbackServerContext* context,
    const inference::SystemSharedMemoryUnregisterRequest* request,
    inference::SystemSharedMemoryUnregisterResponse* /*response*/) {
  RegionsOf(*context).Unregister(request->name());
  return FinishWith(context, {});
}

// There is none: nothing to be listed or dropped, which clients ask for anyway.
grpc::ServerUnaryReactor* InferenceService::CudaSharedMemoryStatus(
    grpc::CallbackServerContext* context,
    const inference::CudaSharedMemoryStatusRequest* /*request*/,
    inference::CudaSharedMemoryStatusResponse* /*response*/) {
  return FinishWith(context, {});
}

grpc::ServerUnaryReactor* InferenceService::CudaSharedMemoryRegister(
    grpc::CallbackServerContext* context,
    const inference::CudaSharedMemoryRegisterRequest* /*request*/,
    inference::CudaSharedMemoryRegisterResponse* /*response*/) {
  return FinishWith(context, RegisterCudaMemory());
}

grpc::ServerUnaryReactor* InferenceService::CudaSharedMemoryUnregister(
    grpc::CallbackServerContext* context,
    const inference::CudaSharedMemoryUnregisterRequest* /*request*/,
    inference::CudaSharedMemoryUnregisterResponse* /*response*/) {
  return FinishWith(context, {});
}

grpc::ServerUnaryReactor* InferenceService::ModelConfig(
    grpc::CallbackServerContext* context, const inference::ModelConfigRequest* request,
    inference::ModelConfigResponse* response) {
  const auto model = FindLoaded(request->name(), request->version());
  if (model.ok()) {
    DescribeConfig(**model, response->mutable_config());
  }
  return FinishWith(context, model.status());
}

grpc::ServerUnaryReactor* InferenceService::ModelStatistics(
    grpc::CallbackServerContext* context, const inference::ModelStatisticsRequest* request,
    inference::ModelStatisticsResponse* response) {
  if (!request->name().empty()) {
    const auto model = FindLoaded(request->name(), request->version());
    if (!model.ok()) {
      return FinishWith(context, model.status());
    }
  }
  for (const auto& model : registry_.All()) {
    const bool is_wanted = (request->name().empty() || request->name() == model->name) &&
                           (request->version().empty() || request->version() == model->version);
    if (is_wanted) {
      DescribeStatistics(*model, response->add_model_stats());
    }
  }
  return FinishWith(context, {});
}

grpc::ServerUnaryReactor* InferenceService::RepositoryIndex(
    grpc::CallbackServerContext* context, const inference::RepositoryIndexRequest* request,
    inference::RepositoryIndexResponse* response) {
  const Result<ModelControl*> control = Control();
  if (!control.ok()) {
    return FinishWith(context, control.status());
  }
  return FinishWith(context, DescribeRepository(*request, **control, response));
}

grpc::ServerUnaryReactor* InferenceService::RepositoryModelLoad(
    grpc::CallbackServerContext* context, const inference::RepositoryModelLoadRequest* request,
    inference::RepositoryModelLoadResponse* /*response*/) {
  const Result<ModelControl*> control = Control();
  if (!control.ok()) {
    return FinishWith(context, control.status());
  }
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  LoadByRequest(*request, **control, [context, reactor](const Status& status) {
    reactor->Finish(ToGrpcStatus(status, context));
  });
  return reactor;
}

grpc::ServerUnaryReactor* InferenceService::RepositoryModelUnload(
    grpc::CallbackServerContext* context, const inference::RepositoryModelUnloadRequest* request,
    inference::RepositoryModelUnloadResponse* /*response*/) {
  const Result<ModelControl*> control = Control();
  if (!control.ok()) {
    return FinishWith(context, control.status());
  }
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  UnloadByRequest(*request, **control, [context, reactor](const Status& status) {
    reactor->Finish(ToGrpcStatus(status, context));
  });
  return reactor;
}

grpc::ServerUnaryReactor* InferenceService::TraceSetting(
    grpc::CallbackServerContext* context, const inference::TraceSettingRequest* request,
    inference::TraceSettingResponse* response) {
  Status status = ChangesTraces(*request) ? MayChange() : Status();
  if (status.ok() && !request->model_name().empty()) {
    status = FindLoaded(request->model_name(), "").status();
  }
  return FinishWith(context, status.ok() ? ChangeTraces(*request, tracer_, response) : status);
}

grpc::ServerUnaryReactor* InferenceService::LogSettings(
    grpc::CallbackServerContext* context, const inference::LogSettingsRequest* request,
    inference::LogSettingsResponse* response) {
  const Status status = request->settings().empty() ? Status() : MayChange();
  return FinishWith(context, status.ok() ? ChangeLog(*request, log_, response) : status);
}

}  // namespace torchdeploy::server
