// Tests of each RPC over real sockets.
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>
#include <gtest/gtest.h>

#include "server/server.h"
#include "server/version.h"
#include "torchdeploy/status.h"

#include "open_inference_grpc.pb.h"
#include "tests/cpp/runtime/fake_pool.h"
#include "tests/cpp/server/running_server.h"
#include "tests/fakes/archive_writer.h"

namespace torchdeploy::server {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kInputs = R"([{"name": "x", "datatype": "FP32", "shape": [-1, 2]}])";

class RpcTest : public testing::Test {
 protected:
  void SetUp() override {
    running_.Add("double", "2", FakeManifest("double", kInputs));
    running_.Add("double", "10", FakeManifest("double", kInputs));
    running_.Add("plain", "1", "");
    running_.Listen();
  }

  bool ModelReady(const std::string& name, const std::string& version = "") {
    grpc::ClientContext context;
    SetDeadline(context);
    inference::ModelReadyRequest request;
    request.set_name(name);
    request.set_version(version);
    inference::ModelReadyResponse response;
    EXPECT_TRUE(running_.stub().ModelReady(&context, request, &response).ok());
    return response.ready();
  }

  grpc::Status ModelMetadata(const std::string& name, const std::string& version,
                             inference::ModelMetadataResponse* response) {
    grpc::ClientContext context;
    SetDeadline(context);
    inference::ModelMetadataRequest request;
    request.set_name(name);
    request.set_version(version);
    return running_.stub().ModelMetadata(&context, request, response);
  }

  RunningServer running_;
};

TEST_F(RpcTest, ServerIsLiveBeforeItHasLoaded) {
  grpc::ClientContext context;
  SetDeadline(context);
  inference::ServerLiveResponse response;
  EXPECT_TRUE(running_.stub().ServerLive(&context, {}, &response).ok());
  EXPECT_TRUE(response.live());
}

TEST_F(RpcTest, ServerAndModelsAreReadyOnceAllAreLoaded) {
  EXPECT_FALSE(running_.IsReady());
  EXPECT_FALSE(ModelReady("double"));
  running_.Load();
  EXPECT_TRUE(running_.IsReady());
  EXPECT_TRUE(ModelReady("double"));
  EXPECT_TRUE(ModelReady("double", "2"));
}

TEST_F(RpcTest, BeforeModelsAreLoadedTheyAreUnavailableAndNotUnknown) {
  const Answer answer = running_.Infer(RequestTo("double"));
  EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(answer.status.error_message(), HasSubstr("still loading"));
  inference::ModelMetadataResponse response;
  EXPECT_EQ(ModelMetadata("double", "", &response).error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(RpcTest, AModelOrVersionThatIsNotThereIsNotReady) {
  running_.Load();
  EXPECT_FALSE(ModelReady("double", "3"));
  EXPECT_FALSE(ModelReady("unheard"));
}

TEST_F(RpcTest, ServerMetadataSaysNameVersionAndTheExtensionsThatAreThere) {
  grpc::ClientContext context;
  SetDeadline(context);
  inference::ServerMetadataResponse response;
  EXPECT_TRUE(running_.stub().ServerMetadata(&context, {}, &response).ok());
  EXPECT_EQ(response.name(), "torchdeploy");
  EXPECT_EQ(response.version(), kVersion);
  EXPECT_THAT(response.extensions(),
              ElementsAre("logging", "model_configuration", "schedule_policy", "sequence",
                          "statistics", "trace"));
}

TEST_F(RpcTest, ModelMetadataIsTheManifests) {
  running_.Load();
  inference::ModelMetadataResponse response;
  ASSERT_TRUE(ModelMetadata("double", "", &response).ok());
  EXPECT_EQ(response.name(), "double");
  EXPECT_EQ(response.platform(), "torchdeploy_eager");
  EXPECT_THAT(response.versions(), ElementsAre("2", "10"));
  ASSERT_EQ(response.inputs_size(), 1);
  EXPECT_EQ(response.inputs(0).name(), "x");
  EXPECT_EQ(response.inputs(0).datatype(), "FP32");
  EXPECT_THAT(response.inputs(0).shape(), ElementsAre(-1, 2));
  ASSERT_EQ(response.outputs_size(), 1);
  EXPECT_EQ(response.outputs(0).name(), "y");
}

TEST_F(RpcTest, ModelMetadataWithoutManifestHasNoTensors) {
  running_.Load();
  inference::ModelMetadataResponse response;
  ASSERT_TRUE(ModelMetadata("plain", "", &response).ok());
  EXPECT_EQ(response.inputs_size(), 0);
  EXPECT_EQ(response.outputs_size(), 0);
}

TEST_F(RpcTest, ModelMetadataOfAnUnknownModelIsNotFound) {
  running_.Load();
  inference::ModelMetadataResponse response;
  const grpc::Status status = ModelMetadata("unheard", "", &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(), AllOf(HasSubstr("'unheard'"), HasSubstr("double, plain")));
}

TEST_F(RpcTest, ModelInferAnswersWithTheRequestsIdAndTheHighestVersion) {
  running_.Load();
  ModelInferRequest request = RequestTo("double");
  request.set_id("request 7");
  AddRaw(request, "x", "FP32", {1, 2}, RawFloats({1, -2.5}));
  const Answer answer = running_.Infer(request);
  ASSERT_TRUE(answer.status.ok()) << answer.status.error_message();
  EXPECT_EQ(answer.response.id(), "request 7");
  EXPECT_EQ(answer.response.model_name(), "double");
  EXPECT_EQ(answer.response.model_version(), "10");
  ASSERT_EQ(answer.response.outputs_size(), 1);
  EXPECT_EQ(answer.response.outputs(0).name(), "y");
  EXPECT_THAT(ShapeOf(answer.response.outputs(0)), ElementsAre(1, 2));
  EXPECT_EQ(answer.response.raw_output_contents(0), RawFloats({2, -5}));
}

TEST_F(RpcTest, ModelInferTakesTheVersionThatIsAskedFor) {
  running_.Load();
  ModelInferRequest request = RequestTo("double");
  request.set_model_version("2");
  AddRaw(request, "x", "FP32", {0, 2}, "");
  const Answer answer = running_.Infer(request);
  ASSERT_TRUE(answer.status.ok()) << answer.status.error_message();
  EXPECT_EQ(answer.response.model_version(), "2");
}

TEST_F(RpcTest, WithoutManifestInputsArePositionalOrKeywords) {
  running_.Load();
  for (const char* name : {"INPUT__0", "x"}) {
    ModelInferRequest request = RequestTo("plain");
    AddRaw(request, name, "FP32", {1}, RawFloats({4}));
    const Answer answer = running_.Infer(request);
    ASSERT_TRUE(answer.status.ok()) << answer.status.error_message();
    EXPECT_EQ(answer.response.raw_output_contents(0), RawFloats({8}));
  }
}

TEST_F(RpcTest, ReflectionListsTheService) {
  grpc::GenericStub stub(running_.NewChannel());
  grpc::ClientContext context;
  SetDeadline(context);
  grpc::CompletionQueue queue;
  const auto call = stub.PrepareCall(
      &context, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", &queue);
  int tag = 0;
  const auto await = [&] {
    void* got = nullptr;
    bool ok = false;
    return queue.Next(&got, &ok) && ok;
  };
  call->StartCall(&tag);
  ASSERT_TRUE(await());
  // ServerReflectionRequest{list_services = 7: "*"}.
  const grpc::Slice slice(std::string("\x3a\x01*"));
  call->WriteLast(grpc::ByteBuffer(&slice, 1), {}, &tag);
  ASSERT_TRUE(await());
  grpc::ByteBuffer answer;
  call->Read(&answer, &tag);
  ASSERT_TRUE(await());
  grpc::Slice bytes;
  ASSERT_TRUE(answer.DumpToSingleSlice(&bytes).ok());
  const std::string text(bytes.begin(), bytes.end());
  EXPECT_THAT(text, HasSubstr("inference.GRPCInferenceService"));
  EXPECT_THAT(text, HasSubstr("grpc.health.v1.Health"));
  grpc::Status status;
  call->Finish(&status, &tag);
  ASSERT_TRUE(await());
  EXPECT_TRUE(status.ok());
}

ServerOptions OptionsFor(const std::string& path) {
  ServerOptions options;
  options.models.path = path;
  options.port = 0;
  options.runtime = FakeOptions(1);
  return options;
}

TEST(ServerTest, AnArchiveAloneIsServedByTheNameInItsManifest) {
  const TemporaryFolder folder;
  fakes::WriteArchive(folder.File("file.pt"), FakeManifest("double", kInputs));
  auto server = Server::Listen(OptionsFor(folder.File("file.pt")));
  ASSERT_TRUE(server.ok()) << server.status().ToString();
  EXPECT_EQ((*server)->num_interpreters(), 0);
  ASSERT_TRUE((*server)->Load().ok());
  EXPECT_EQ((*server)->num_interpreters(), 1);
  EXPECT_THAT((*server)->models().Names(), ElementsAre("named"));
}

TEST(ServerTest, AnArchiveAloneWithoutManifestIsServedByItsFileName) {
  const TemporaryFolder folder;
  fakes::WriteArchive(folder.File("file.pt"), std::nullopt);
  auto server = Server::Listen(OptionsFor(folder.File("file.pt")));
  ASSERT_TRUE(server.ok()) << server.status().ToString();
  ASSERT_TRUE((*server)->Load().ok());
  EXPECT_THAT((*server)->models().Names(), ElementsAre("file"));
  EXPECT_THAT((*server)->models().Versions("file"), ElementsAre("1"));
}

TEST(ServerTest, AModelThatCannotBeLoadedIsNamedByItsArchive) {
  RunningServer running;
  running.AddWithInputs("missing", {"x"});
  running.Listen();
  const Status status = running.server().Load();
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(status.message(), HasSubstr("missing/1/model.pt: "));
}

TEST(ServerTest, BatchingWithoutABatchDimensionIsRefused) {
  RunningServer running;
  running.AddWithInputs("echo", {"x"});
  std::ofstream(running.models() + "/echo/config.yaml") << "batching: {max_size: 4}";
  running.Listen();
  const Status status = running.server().Load();
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("batching.max_size is 4"));
}

TEST(ServerTest, APathThatIsNotThereIsNotFound) {
  const auto server = Server::Listen(OptionsFor("/nowhere/model.pt"));
  ASSERT_FALSE(server.ok());
  EXPECT_EQ(server.status().code(), Code::kNotFound);
}

TEST(ServerTest, ASecondServerOnOnePortFails) {
  RunningServer running;
  running.Add("plain", "1", "");
  running.Listen();
  ServerOptions options = running.options();
  const std::string& address = running.server().address();
  options.port = std::stoi(address.substr(address.rfind(':') + 1));
  const auto second = Server::Listen(options);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), Code::kUnavailable);
  EXPECT_EQ(second.status().message(), "cannot listen on " + address + ": Address already in use");
}

TEST(ServerTest, ListensOnAnIpv6AddressWithoutBrackets) {
  RunningServer running;
  running.Add("plain", "1", "");
  running.Listen();
  ServerOptions options = running.options();
  options.host = "::1";
  const auto server = Server::Listen(options);
  if (!server.ok() && server.status().message().ends_with("Cannot assign requested address")) {
    GTEST_SKIP() << "this machine has no IPv6";
  }
  ASSERT_TRUE(server.ok()) << server.status().ToString();
  EXPECT_TRUE((*server)->address().starts_with("[::1]:"));
}

}  // namespace
}  // namespace torchdeploy::server
