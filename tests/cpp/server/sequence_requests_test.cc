// Tests of requests that belong together, over real sockets.
#include <chrono>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "server/model_control.h"

#include "open_inference_grpc.grpc.pb.h"
#include "open_inference_grpc.pb.h"
#include "tests/cpp/server/running_server.h"

namespace torchdeploy::server {
namespace {

using testing::HasSubstr;

constexpr const char* kInputs = R"([{"name": "x", "datatype": "INT64", "shape": [1]},
                                    {"name": "id", "datatype": "INT64", "shape": [1]},
                                    {"name": "start", "datatype": "BOOL", "shape": []},
                                    {"name": "end", "datatype": "BOOL", "shape": [-1]}])";
constexpr const char* kSequences = "sequences: {id: id, start: start, end: end, max: 100}";

// What a request says of its sequence.
struct Part {
  bool is_start = false;
  bool is_end = false;
};

ModelInferRequest Request(int64_t sequence, int64_t x, Part part = {}) {
  ModelInferRequest request = RequestTo("sums");
  AddRaw(request, "x", "INT64", {1}, {reinterpret_cast<const char*>(&x), sizeof x});
  auto& parameters = *request.mutable_parameters();
  parameters["sequence_id"].set_int64_param(sequence);
  parameters["sequence_start"].set_bool_param(part.is_start);
  parameters["sequence_end"].set_bool_param(part.is_end);
  return request;
}

int64_t SumIn(const ModelInferResponse& response) {
  int64_t sum = -1;
  if (response.raw_output_contents_size() == 1) {
    std::memcpy(&sum, response.raw_output_contents(0).data(), sizeof sum);
  }
  return sum;
}

class SequenceRequestsTest : public testing::Test {
 protected:
  void Serve(const std::string& settings) {
    running_.Add("sums", "1", FakeManifest("sequence", kInputs));
    std::ofstream(running_.models() + "/sums/config.yaml") << settings;
    running_.Control({.mode = ControlMode::kExplicit});
    running_.Listen(3);
    running_.Load();
  }

  void MustServe(const std::string& settings = kSequences) {
    Serve(settings);
    const grpc::Status loaded = running_.LoadModel("sums");
    ASSERT_TRUE(loaded.ok()) << loaded.error_message();
  }

  int64_t Sum(const ModelInferRequest& request) {
    const Answer answer = running_.Infer(request);
    EXPECT_TRUE(answer.status.ok()) << answer.status.error_message();
    return SumIn(answer.response);
  }

  std::string WhyNot(const ModelInferRequest& request) {
    const Answer answer = running_.Infer(request);
    EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    return answer.status.error_message();
  }

  RunningServer running_;
};

TEST_F(SequenceRequestsTest, EachSequenceHasItsStateInOneInterpreter) {
  MustServe();
  constexpr int64_t kSequenceCount = 7;
  for (int64_t id = 1; id <= kSequenceCount; ++id) {
    EXPECT_EQ(Sum(Request(id, id, {.is_start = true})), id);
  }
  for (int64_t id = 1; id <= kSequenceCount; ++id) {
    EXPECT_EQ(Sum(Request(id, 10)), id + 10);
    EXPECT_EQ(Sum(Request(id, 100, {.is_end = true})), id + 110);
    EXPECT_THAT(WhyNot(Request(id, 1)), HasSubstr("has ended"));
  }
}

TEST_F(SequenceRequestsTest, RequestsRunInTheOrderInWhichTheyCome) {
  MustServe();
  constexpr int64_t kSteps = 50;
  constexpr int64_t kThreads = 4;
  std::vector<std::thread> clients;
  for (int64_t id = 1; id <= kThreads; ++id) {
    clients.emplace_back([this, id] {
      grpc::ClientContext context;
      SetDeadline(context);
      const auto stub = inference::GRPCInferenceService::NewStub(running_.NewChannel());
      const auto stream = stub->ModelStreamInfer(&context);
      for (int64_t i = 1; i <= kSteps; ++i) {
        stream->Write(Request(id, i, {.is_start = i == 1, .is_end = i == kSteps}));
      }
      stream->WritesDone();
      inference::ModelStreamInferResponse response;
      for (int64_t i = 1; i <= kSteps; ++i) {
        ASSERT_TRUE(stream->Read(&response));
        EXPECT_EQ(response.error_message(), "");
        EXPECT_EQ(SumIn(response.infer_response()), i * (i + 1) / 2);
      }
    });
  }
  for (std::thread& client : clients) {
    client.join();
  }
}

TEST_F(SequenceRequestsTest, AStartWithinASequenceBeginsItAgain) {
  MustServe();
  EXPECT_EQ(Sum(Request(5, 1, {.is_start = true})), 1);
  EXPECT_EQ(Sum(Request(5, 2, {.is_start = true})), 2);
}

TEST_F(SequenceRequestsTest, ARequestWithoutASequenceIsRefused) {
  MustServe();
  EXPECT_THAT(WhyNot(Request(0, 1, {.is_start = true})), HasSubstr("sequence_id"));
  EXPECT_THAT(WhyNot(Request(3, 1)), HasSubstr("sequence '3' has not begun"));
  ModelInferRequest request = Request(3, 1);
  (*request.mutable_parameters())["sequence_start"].set_int64_param(1);
  EXPECT_THAT(WhyNot(request), HasSubstr("bool_param"));
  (*request.mutable_parameters())["sequence_start"].set_bool_param(true);
  (*request.mutable_parameters())["sequence_id"].set_string_param("three");
  EXPECT_THAT(WhyNot(request), HasSubstr("the model takes a number"));
}

TEST_F(SequenceRequestsTest, AFailedRequestDoesNotEndItsSequence) {
  MustServe();
  EXPECT_EQ(Sum(Request(5, 1, {.is_start = true})), 1);
  ModelInferRequest late = Request(5, 1);
  (*late.mutable_parameters())["timeout"].set_int64_param(1);
  EXPECT_FALSE(running_.Infer(late).status.ok());
  EXPECT_GE(Sum(Request(5, 1)), 2);
}

TEST_F(SequenceRequestsTest, AnIdleSequenceIsForgotten) {
  MustServe("sequences: {id: id, start: start, end: end, idle_ms: 20}");
  EXPECT_EQ(Sum(Request(5, 1, {.is_start = true})), 1);
  std::this_thread::sleep_for(std::chrono::milliseconds(60));
  EXPECT_THAT(WhyNot(Request(5, 1)), HasSubstr("without a request for too long"));
}

TEST_F(SequenceRequestsTest, ModelConfigSaysSoAndClientsAreNotAskedForWhatTheServerFills) {
  MustServe();
  grpc::ClientContext context;
  SetDeadline(context);
  inference::ModelConfigRequest request;
  request.set_name("sums");
  inference::ModelConfigResponse response;
  ASSERT_TRUE(running_.stub().ModelConfig(&context, request, &response).ok());
  EXPECT_EQ(response.config().sequence_batching().max_sequence_idle_microseconds(), 60'000'000U);
  ASSERT_EQ(response.config().input_size(), 1);
  EXPECT_EQ(response.config().input(0).name(), "x");
}

TEST_F(SequenceRequestsTest, SettingsThatTheModelCannotHaveAreNamed) {
  const std::vector<std::pair<std::string, std::string>> mistakes = {
      {"sequences: {id: unheard}", "no input 'unheard'"},
      {"sequences: {id: start}", "input 'start' is BOOL; INT64, BYTES is expected"},
      {"sequences: {end: id}", "input 'id' is INT64; BOOL is expected"},
      {"sequences: {idle_s: 3}", "'sequences.idle_ms'"},
      {"{sequences: {}, batching: {max_size: 2}}", "with sequences"}};
  Serve(mistakes.front().first);
  for (const auto& [settings, complaint] : mistakes) {
    std::ofstream(running_.models() + "/sums/config.yaml") << settings;
    const grpc::Status status = running_.LoadModel("sums");
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_THAT(status.error_message(), HasSubstr(complaint));
  }
}

}  // namespace
}  // namespace torchdeploy::server
