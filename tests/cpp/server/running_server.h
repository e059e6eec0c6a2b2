// A server on the fake engine, and requests to it over real sockets.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "server/model_control.h"
#include "server/server.h"

#include "open_inference_grpc.grpc.pb.h"
#include "open_inference_grpc.pb.h"
#include "tests/cpp/runtime/fake_pool.h"

namespace torchdeploy::server {

using Stub = inference::GRPCInferenceService::Stub;
using inference::ModelInferRequest;
using inference::ModelInferResponse;

// A manifest for the fake engine's model "RESOURCE.pkl". `inputs` is the JSON list.
std::string FakeManifest(const std::string& resource, const std::string& inputs);

// The same of a model that yields.
std::string YieldingManifest(const std::string& resource, const std::string& inputs);

// What a call that the server refused came back with.
struct Answer {
  grpc::Status status;
  ModelInferResponse response;
  std::string error_type;
  std::string traceback;
};

// A folder NAME/VERSION/model.pt, and the server of it.
class RunningServer {
 public:
  // Adds an archive; an empty manifest means none.
  void Add(const std::string& name, const std::string& version, const std::string& manifest);
  // Adds "RESOURCE.pkl" as version 1 of RESOURCE, with any inputs named so.
  void AddWithInputs(const std::string& resource, const std::vector<std::string>& inputs);

  // Before Listen(). The models' path, the port and the interpreters are its own.
  [[nodiscard]] ServerOptions& wanted() { return wanted_; }
  void AllowSharedMemory() { wanted_.allow_shared_memory = true; }
  void Control(ControlOptions control) { wanted_.models = std::move(control); }

  // Both fail the test when the server does not.
  void Listen(int interpreters = 2);
  void Load();

  [[nodiscard]] Server& server() { return *server_; }
  [[nodiscard]] std::string models() const { return folder_.File("models"); }
  [[nodiscard]] ServerOptions options() const;
  [[nodiscard]] std::shared_ptr<grpc::Channel> NewChannel() const;
  [[nodiscard]] Stub& stub() { return *stub_; }
  // As ServerReady says; fails the test when it says nothing.
  [[nodiscard]] bool IsReady();
  [[nodiscard]] Answer Infer(const ModelInferRequest& request);
  // By RepositoryModelLoad.
  grpc::Status LoadModel(const inference::RepositoryModelLoadRequest& request);
  grpc::Status LoadModel(const std::string& name);

 private:
  TemporaryFolder folder_;
  int interpreters_ = 2;
  ServerOptions wanted_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<Stub> stub_;
};

// Within which every call of a test must end.
void SetDeadline(grpc::ClientContext& context);

// What the server sent after its answer; empty when there is none by this key.
std::string TrailerOf(const grpc::ClientContext& context, const char* key);

ModelInferRequest RequestTo(const std::string& model);
ModelInferRequest::InferInputTensor& AddInput(ModelInferRequest& request, const std::string& name,
                                              const std::string& datatype,
                                              const std::vector<int64_t>& shape);
void AddRaw(ModelInferRequest& request, const std::string& name, const std::string& datatype,
            const std::vector<int64_t>& shape, const std::string& raw);
std::string RawFloats(const std::vector<float>& elements);
// Elements, each behind its length.
std::string RawByteStrings(const std::vector<std::string>& elements);
std::vector<int64_t> ShapeOf(const ModelInferResponse::InferOutputTensor& output);

}  // namespace torchdeploy::server
