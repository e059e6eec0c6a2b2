// Models that yield: many answers to one request of a stream.
#include <chrono>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "open_inference_grpc.grpc.pb.h"
#include "open_inference_grpc.pb.h"
#include "tests/cpp/runtime/fake_pool.h"
#include "tests/cpp/server/running_server.h"

namespace torchdeploy::server {
namespace {

using inference::ModelStreamInferResponse;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr const char* kInputs = R"([{"name": "items", "datatype": "INT64", "shape": [1]}])";
constexpr int64_t kEndless = 90;      // More than a test reads.
constexpr int64_t kFailsLater = 101;  // Its item 100 raises.
constexpr int64_t kLoops = -1;        // In item 1.

std::string RawInteger(int64_t number) {
  return {reinterpret_cast<const char*>(&number), sizeof number};
}

int64_t IntegerOf(const std::string& raw) {
  int64_t number = -1;
  if (raw.size() == sizeof number) {
    std::memcpy(&number, raw.data(), sizeof number);
  }
  return number;
}

ModelInferRequest ItemsRequest(int64_t items, const std::string& id = "") {
  ModelInferRequest request = RequestTo("items");
  AddRaw(request, "items", "INT64", {1}, RawInteger(items));
  request.set_id(id);
  return request;
}

ModelInferRequest WithEmptyEnd(ModelInferRequest request) {
  (*request.mutable_parameters())["triton_enable_empty_final_response"].set_bool_param(true);
  return request;
}

bool IsFinal(const ModelStreamInferResponse& response) {
  return response.infer_response().parameters().at("triton_final_response").bool_param();
}

int64_t OpenStreams() {
  return FakeNumberElsewhere("open_streams");
}

class YieldingModelTest : public testing::Test {
 protected:
  struct Stream {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReaderWriter<ModelInferRequest, ModelStreamInferResponse>> ends;

    // "id: item", "id: end" or "id: error"; "" at the stream's end.
    std::string Read() {
      ModelStreamInferResponse response;
      if (!ends->Read(&response)) {
        return "";
      }
      const ModelInferResponse& answer = response.infer_response();
      if (!response.error_message().empty()) {
        EXPECT_TRUE(IsFinal(response));
        return answer.id() + ": " + response.error_message();
      }
      if (answer.outputs_size() == 0) {
        EXPECT_TRUE(IsFinal(response));
        return answer.id() + ": end";
      }
      EXPECT_FALSE(IsFinal(response));
      EXPECT_EQ(answer.model_name(), "items");
      EXPECT_EQ(answer.outputs(0).name(), "item");
      return answer.id() + ": " + std::to_string(IntegerOf(answer.raw_output_contents(0)));
    }
    std::vector<std::string> ReadAll() {
      ends->WritesDone();
      std::vector<std::string> all;
      for (std::string line = Read(); !line.empty(); line = Read()) {
        all.push_back(line);
      }
      return all;
    }
  };

  void SetUp() override {
    running_.Add("items", "1", YieldingManifest("items", kInputs));
    running_.AddWithInputs("echo", {"x"});
    running_.Listen(2);
    running_.Load();
  }
  void TearDown() override {
    Eventually([] { return OpenStreams() == 0; });
  }

  std::unique_ptr<Stream> Open() {
    auto stream = std::make_unique<Stream>();
    SetDeadline(stream->context);
    stream->ends = running_.stub().ModelStreamInfer(&stream->context);
    return stream;
  }

  bool CanEcho() {
    ModelInferRequest request = RequestTo("echo");
    AddRaw(request, "x", "FP32", {1}, RawFloats({1}));
    return running_.Infer(request).status.ok();
  }

  RunningServer running_;
};

TEST_F(YieldingModelTest, EachItemIsAnAnswerAndTheEndIsSaidToWhoAsksForIt) {
  const auto stream = Open();
  stream->ends->Write(WithEmptyEnd(ItemsRequest(3, "a")));
  EXPECT_THAT(stream->ReadAll(), ElementsAre("a: 0", "a: 1", "a: 2", "a: end"));
  EXPECT_TRUE(stream->ends->Finish().ok());
}

TEST_F(YieldingModelTest, WhoDoesNotAskIsNotToldTheEnd) {
  const auto stream = Open();
  stream->ends->Write(ItemsRequest(2, "a"));
  stream->ends->Write(ItemsRequest(0, "b"));
  EXPECT_THAT(stream->ReadAll(), ElementsAre("a: 0", "a: 1"));
  EXPECT_TRUE(stream->ends->Finish().ok());
}

TEST_F(YieldingModelTest, ItemsOfManyRequestsComeInTheOrderOfEach) {
  constexpr int kRequests = 50;
  const auto stream = Open();
  for (int i = 0; i < kRequests; ++i) {
    stream->ends->Write(WithEmptyEnd(ItemsRequest(10, std::to_string(i))));
  }
  std::vector<int> next(kRequests);
  for (const std::string& line : stream->ReadAll()) {
    const size_t colon = line.find(": ");
    int& expected = next.at(std::stoul(line.substr(0, colon)));
    EXPECT_EQ(line.substr(colon + 2), expected == 10 ? "end" : std::to_string(expected));
    ++expected;
  }
  EXPECT_THAT(next, testing::Each(11));
}

TEST_F(YieldingModelTest, AnExceptionBetweenItemsIsTheLastAnswer) {
  const auto stream = Open();
  stream->ends->Write(WithEmptyEnd(ItemsRequest(kFailsLater, "a")));
  const std::vector<std::string> all = stream->ReadAll();
  ASSERT_THAT(all, SizeIs(101));
  EXPECT_EQ(all[99], "a: 99");
  EXPECT_THAT(all[100], HasSubstr("ValueError: item 100"));
  EXPECT_TRUE(stream->ends->Finish().ok());
}

TEST_F(YieldingModelTest, OtherRequestsRunBetweenTheItems) {
  const auto stream = Open();
  for (int i = 0; i < 4; ++i) {  // More than there are interpreters.
    stream->ends->Write(ItemsRequest(kEndless, std::to_string(i)));
  }
  EXPECT_THAT(stream->Read(), HasSubstr(": 0"));
  EXPECT_TRUE(CanEcho());
  EXPECT_THAT(stream->ReadAll(), SizeIs(4 * kEndless - 1));
}

TEST_F(YieldingModelTest, AClientThatGivesUpEndsTheStreamInItsReplica) {
  const auto stream = Open();
  stream->ends->Write(ItemsRequest(kEndless, "a"));
  EXPECT_EQ(stream->Read(), "a: 0");
  EXPECT_EQ(OpenStreams(), 1);
  stream->context.TryCancel();
  stream->ReadAll();
  EXPECT_EQ(stream->ends->Finish().error_code(), grpc::StatusCode::CANCELLED);
  Eventually([] { return OpenStreams() == 0; });
}

TEST_F(YieldingModelTest, AClientThatGivesUpEndsTheItemThatIsMade) {
  const auto stream = Open();
  for (int i = 0; i < 2; ++i) {  // As many as there are interpreters.
    stream->ends->Write(ItemsRequest(kLoops, "a"));
    EXPECT_EQ(stream->Read(), "a: 0");
  }
  stream->context.TryCancel();
  stream->ReadAll();
  EXPECT_EQ(stream->ends->Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(CanEcho());
}

TEST_F(YieldingModelTest, ClientsThatGiveUpAtAnyMomentHoldUpNoDrain) {
  constexpr int kThreads = 4;
  constexpr int kStreams = 200;
  std::vector<std::thread> clients;
  for (int thread = 0; thread < kThreads; ++thread) {
    clients.emplace_back([this, thread] {
      for (int i = 0; i < kStreams; ++i) {
        const auto stream = Open();
        stream->ends->Write(ItemsRequest(kEndless));
        stream->Read();
        std::this_thread::sleep_for(std::chrono::microseconds((thread * kStreams + i) % 97));
        stream->context.TryCancel();
        stream->ends->Finish();
      }
    });
  }
  for (std::thread& client : clients) {
    client.join();
  }
  EXPECT_TRUE(running_.server().Drain(std::chrono::seconds(10)));
}

TEST_F(YieldingModelTest, ATimeoutEndsTheItemThatIsMade) {
  const auto stream = Open();
  ModelInferRequest request = ItemsRequest(kLoops, "a");
  (*request.mutable_parameters())["timeout"].set_int64_param(200'000);
  stream->ends->Write(request);
  const std::vector<std::string> all = stream->ReadAll();
  ASSERT_THAT(all, SizeIs(2));
  EXPECT_EQ(all[0], "a: 0");
  EXPECT_THAT(all[1], HasSubstr("deadline"));
  EXPECT_TRUE(CanEcho());
}

TEST_F(YieldingModelTest, OneAnswerIsRefused) {
  const Answer answer = running_.Infer(ItemsRequest(1));
  EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_THAT(answer.status.error_message(), HasSubstr("ModelStreamInfer"));
}

TEST_F(YieldingModelTest, TheConfigurationSaysThatAnswersAreDecoupled) {
  for (const char* name : {"items", "echo"}) {
    grpc::ClientContext context;
    SetDeadline(context);
    inference::ModelConfigRequest request;
    request.set_name(name);
    inference::ModelConfigResponse response;
    ASSERT_TRUE(running_.stub().ModelConfig(&context, request, &response).ok());
    EXPECT_EQ(response.config().model_transaction_policy().decoupled(),
              name == std::string("items"));
  }
}

TEST_F(YieldingModelTest, ADrainAnswersWhatIsYieldedToTheEnd) {
  const auto stream = Open();
  stream->ends->Write(WithEmptyEnd(ItemsRequest(kEndless, "a")));
  EXPECT_EQ(stream->Read(), "a: 0");
  std::thread drain([&] { running_.server().Drain(); });
  const std::vector<std::string> all = stream->ReadAll();
  EXPECT_THAT(all, SizeIs(kEndless));
  EXPECT_EQ(all.back(), "a: end");
  drain.join();
}

}  // namespace
}  // namespace torchdeploy::server
