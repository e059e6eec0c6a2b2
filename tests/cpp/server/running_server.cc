#include "tests/cpp/server/running_server.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "server/server.h"
#include "server/status_mapping.h"
#include "torchdeploy/status.h"

#include "open_inference_grpc.grpc.pb.h"
#include "open_inference_grpc.pb.h"
#include "tests/cpp/runtime/fake_pool.h"
#include "tests/fakes/archive_writer.h"

namespace torchdeploy::server {

namespace {

constexpr std::chrono::seconds kMostWait{60};

void RequireOk(const Status& status) {
  if (!status.ok()) {
    std::cerr << status.ToString() << '\n';
    std::abort();
  }
}

}  // namespace

std::string FakeManifest(const std::string& resource, const std::string& inputs) {
  return R"({"format": 1, "name": "named", "version": "1",
             "entry": {"package": "fake", "resource": ")" +
         resource + R"(.pkl"}, "inputs": )" + inputs +
         R"(, "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 2]}],
             "batch_dimension": null, "python": "3.11.7", "torch": "2.13.0",
             "distributions": {}})";
}

std::string YieldingManifest(const std::string& resource, const std::string& inputs) {
  std::string manifest = FakeManifest(resource, inputs);
  return manifest.replace(manifest.find("{"), 1, R"({"yields": true, )");
}

void RunningServer::Add(const std::string& name, const std::string& version,
                        const std::string& manifest) {
  const std::string folder = models() + "/" + name + "/" + version;
  std::filesystem::create_directories(folder);
  const auto record = manifest.empty() ? std::nullopt : std::optional<std::string_view>(manifest);
  fakes::WriteArchive(folder + "/model.pt", record);
}

void RunningServer::AddWithInputs(const std::string& resource,
                                  const std::vector<std::string>& inputs) {
  std::string list;
  for (const std::string& input : inputs) {
    list += list.empty() ? "" : ", ";
    list += R"({"name": ")" + input + R"(", "datatype": "", "shape": null})";
  }
  Add(resource, "1", FakeManifest(resource, "[" + list + "]"));
}

ServerOptions RunningServer::options() const {
  ServerOptions options = wanted_;
  options.models.path = models();
  options.port = 0;
  options.runtime = FakeOptions(interpreters_);
  return options;
}

void RunningServer::Listen(int interpreters) {
  interpreters_ = interpreters;
  Result<std::unique_ptr<Server>> listening = Server::Listen(options());
  RequireOk(listening.status());
  server_ = *std::move(listening);
  stub_ = inference::GRPCInferenceService::NewStub(NewChannel());
}

void RunningServer::Load() {
  RequireOk(server_->Load());
}

std::shared_ptr<grpc::Channel> RunningServer::NewChannel() const {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(std::numeric_limits<int>::max());
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(server_->address(), grpc::InsecureChannelCredentials(),
                                   arguments);
}

bool RunningServer::IsReady() {
  grpc::ClientContext context;
  SetDeadline(context);
  inference::ServerReadyResponse response;
  EXPECT_TRUE(stub_->ServerReady(&context, {}, &response).ok());
  return response.ready();
}

Answer RunningServer::Infer(const ModelInferRequest& request) {
  Answer answer;
  grpc::ClientContext context;
  SetDeadline(context);
  answer.status = stub_->ModelInfer(&context, request, &answer.response);
  answer.error_type = TrailerOf(context, kErrorTypeKey);
  answer.traceback = TrailerOf(context, kTracebackKey);
  return answer;
}

grpc::Status RunningServer::LoadModel(const inference::RepositoryModelLoadRequest& request) {
  grpc::ClientContext context;
  SetDeadline(context);
  inference::RepositoryModelLoadResponse response;
  return stub_->RepositoryModelLoad(&context, request, &response);
}

grpc::Status RunningServer::LoadModel(const std::string& name) {
  inference::RepositoryModelLoadRequest request;
  request.set_model_name(name);
  return LoadModel(request);
}

std::string TrailerOf(const grpc::ClientContext& context, const char* key) {
  const auto& trailers = context.GetServerTrailingMetadata();
  const auto found = trailers.find(key);
  return found == trailers.end() ? "" : std::string(found->second.begin(), found->second.end());
}

void SetDeadline(grpc::ClientContext& context) {
  context.set_deadline(std::chrono::system_clock::now() + kMostWait);
}

ModelInferRequest RequestTo(const std::string& model) {
  ModelInferRequest request;
  request.set_model_name(model);
  return request;
}

ModelInferRequest::InferInputTensor& AddInput(ModelInferRequest& request, const std::string& name,
                                              const std::string& datatype,
                                              const std::vector<int64_t>& shape) {
  ModelInferRequest::InferInputTensor& input = *request.add_inputs();
  input.set_name(name);
  input.set_datatype(datatype);
  input.mutable_shape()->Add(shape.begin(), shape.end());
  return input;
}

void AddRaw(ModelInferRequest& request, const std::string& name, const std::string& datatype,
            const std::vector<int64_t>& shape, const std::string& raw) {
  AddInput(request, name, datatype, shape);
  request.add_raw_input_contents(raw);
}

std::string RawFloats(const std::vector<float>& elements) {
  return {reinterpret_cast<const char*>(elements.data()), elements.size() * sizeof(float)};
}

std::string RawByteStrings(const std::vector<std::string>& elements) {
  std::string raw;
  for (const std::string& element : elements) {
    const auto length = static_cast<uint32_t>(element.size());
    raw.append(reinterpret_cast<const char*>(&length), sizeof length);
    raw.append(element);
  }
  return raw;
}

std::vector<int64_t> ShapeOf(const ModelInferResponse::InferOutputTensor& output) {
  return {output.shape().begin(), output.shape().end()};
}

}  // namespace torchdeploy::server
