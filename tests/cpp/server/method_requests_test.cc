// Tests of requests for another method of a model than itself.
#include <cstdint>
#include <string>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "open_inference_grpc.pb.h"
#include "tests/cpp/server/running_server.h"

namespace torchdeploy::server {
namespace {

using testing::HasSubstr;

constexpr const char* kFloats = R"([{"name": "x", "datatype": "FP32", "shape": [-1]}])";
constexpr const char* kMethods = R"({"methods": {"double": {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [2]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [2]}]}}, )";

class MethodRequestsTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string manifest = FakeManifest("echo", kFloats);
    running_.Add("echo", "1", manifest.replace(manifest.find('{'), 1, kMethods));
    running_.AddWithInputs("double", {"x"});
    running_.Listen(2);
    running_.Load();
  }

  Answer Ask(const std::string& model, const std::string& method, const std::string& raw) {
    ModelInferRequest request = RequestTo(model);
    AddRaw(request, "x", "FP32", {static_cast<int64_t>(raw.size() / sizeof(float))}, raw);
    if (!method.empty()) {
      (*request.mutable_parameters())["method"].set_string_param(method);
    }
    return running_.Infer(request);
  }

  RunningServer running_;
};

TEST_F(MethodRequestsTest, EachRequestIsAnsweredByTheMethodThatItAsksFor) {
  const std::string raw = RawFloats({1, 2});
  const Answer own = Ask("echo", "", raw);
  ASSERT_TRUE(own.status.ok()) << own.status.error_message();
  EXPECT_EQ(own.response.outputs(0).name(), "x");
  EXPECT_EQ(own.response.raw_output_contents(0), raw);
  const Answer doubled = Ask("echo", "double", raw);
  ASSERT_TRUE(doubled.status.ok()) << doubled.status.error_message();
  EXPECT_EQ(doubled.response.outputs(0).name(), "y");
  EXPECT_EQ(doubled.response.raw_output_contents(0), RawFloats({2, 4}));
}

TEST_F(MethodRequestsTest, AMethodHasInputsOfItsOwn) {
  const std::string raw = RawFloats({1, 2, 3});
  EXPECT_TRUE(Ask("echo", "", raw).status.ok());
  const grpc::Status status = Ask("echo", "double", raw).status;
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("input 'x' has shape [3]; [2] is expected"));
}

TEST_F(MethodRequestsTest, OnlyWhatTheArchiveNamesIsCalled) {
  const std::string raw = RawFloats({1, 2});
  const grpc::Status unknown = Ask("echo", "triple", raw).status;
  EXPECT_EQ(unknown.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(unknown.error_message(), HasSubstr("method 'triple' is unknown"));
  EXPECT_THAT(unknown.error_message(), HasSubstr("has: double"));
  const grpc::Status none = Ask("double", "double", raw).status;
  EXPECT_THAT(none.error_message(), HasSubstr("has: none"));
}

TEST_F(MethodRequestsTest, AMethodThatIsNoTextIsRefused) {
  ModelInferRequest request = RequestTo("echo");
  AddRaw(request, "x", "FP32", {2}, RawFloats({1, 2}));
  (*request.mutable_parameters())["method"].set_int64_param(1);
  const grpc::Status status = running_.Infer(request).status;
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("string_param"));
}

}  // namespace
}  // namespace torchdeploy::server
