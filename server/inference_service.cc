#include "server/inference_service.h"

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "server/infer_messages.h"
#include "server/model_registry.h"
#include "server/request_decoder.h"
#include "server/response_encoder.h"
#include "server/serving_gate.h"
#include "server/status_mapping.h"
#include "server/version.h"
#include "torchdeploy/manifest.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

#include "open_inference_grpc.pb.h"
#include <google/protobuf/repeated_ptr_field.h>

namespace torchdeploy::server {

namespace {

constexpr const char* kServerName = "torchdeploy";
constexpr const char* kPlatform = "torchdeploy_eager";

grpc::ServerUnaryReactor* FinishWith(grpc::CallbackServerContext* context, const Status& status) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpcStatus(status, context));
  return reactor;
}

void Describe(
    const std::vector<TensorSpec>& specs,
    google::protobuf::RepeatedPtrField<inference::ModelMetadataResponse::TensorMetadata>* tensors) {
  for (const TensorSpec& spec : specs) {
    auto* tensor = tensors->Add();
    tensor->set_name(spec.name);
    tensor->set_datatype(spec.datatype);
    if (spec.shape) {
      tensor->mutable_shape()->Add(spec.shape->begin(), spec.shape->end());
    }
  }
}

}  // namespace

InferenceService::InferenceService(const ModelRegistry& registry) : registry_(registry) {
  SetMessageAllocatorFor_ModelInfer(&allocator_);
}

Status InferenceService::WhyClosed() const {
  return {Code::kUnavailable, gate_.state() == ServingGate::State::kClosed
                                  ? "the server is stopping"
                                  : "the server is still loading its models"};
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
  return FinishWith(context, {});
}

grpc::ServerUnaryReactor* InferenceService::ModelMetadata(
    grpc::CallbackServerContext* context, const inference::ModelMetadataRequest* request,
    inference::ModelMetadataResponse* response) {
  if (gate_.state() == ServingGate::State::kLoading) {
    return FinishWith(context, WhyClosed());
  }
  const Result<std::shared_ptr<const Model>> model =
      registry_.Find(request->name(), request->version());
  if (!model.ok()) {
    return FinishWith(context, model.status());
  }
  response->set_name((*model)->name);
  response->set_platform(kPlatform);
  for (const std::string& version : registry_.Versions((*model)->name)) {
    response->add_versions(version);
  }
  if ((*model)->manifest) {
    Describe((*model)->manifest->inputs, response->mutable_inputs());
    Describe((*model)->manifest->outputs, response->mutable_outputs());
  }
  return FinishWith(context, {});
}

grpc::ServerUnaryReactor* InferenceService::ModelInfer(grpc::CallbackServerContext* context,
                                                       const inference::ModelInferRequest* request,
                                                       inference::ModelInferResponse* response) {
  std::unique_ptr<ServingGate::Pass> pass = gate_.Enter();
  if (pass == nullptr) {
    return FinishWith(context, WhyClosed());
  }
  auto* messages = static_cast<InferMessages*>(context->GetRpcAllocatorState());
  messages->Hold(std::move(pass));
  const Result<std::shared_ptr<const Model>> found =
      registry_.Find(request->model_name(), request->model_version());
  if (!found.ok()) {
    return FinishWith(context, found.status());
  }
  const std::shared_ptr<const Model>& model = *found;
  const auto shared_request = messages->shared_request();
  Result<Arguments> arguments = DecodeRequest(shared_request, model->manifest);
  if (!arguments.ok()) {
    return FinishWith(context, arguments.status());
  }
  response->set_model_name(model->name);
  response->set_model_version(model->version);
  response->set_id(request->id());
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  // On the interpreter's own thread, before it takes its next call: until then nobody writes
  // to the model's memory, and the response copies it.
  auto finish = [context, reactor, response, shared_request, model](const Result<Value>& result) {
    Status status = result.status();
    if (result.ok()) {
      const std::span<const TensorSpec> declared =
          model->manifest ? std::span(model->manifest->outputs) : std::span<const TensorSpec>();
      status = EncodeResponse(*result, declared, *shared_request, response);
    }
    reactor->Finish(ToGrpcStatus(status, context));
  };
  model->entry.CallAsync(std::move(arguments->positional), std::move(arguments->keywords),
                         std::move(finish));
  return reactor;
}

}  // namespace torchdeploy::server
