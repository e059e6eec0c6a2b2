// Requests of different lengths in a queue whose model takes them padded, and in a server.
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <dlpack/dlpack.h>
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "server/padding.h"
#include "server/request_queue.h"
#include "server/server.h"
#include "server/timer.h"
#include "torchdeploy/interpreter_manager.h"
#include "torchdeploy/interpreter_session.h"
#include "torchdeploy/status.h"
#include "torchdeploy/tensor.h"
#include "torchdeploy/value.h"

#include "open_inference_grpc.grpc.pb.h"
#include "open_inference_grpc.pb.h"
#include "tests/cpp/runtime/fake_pool.h"
#include "tests/cpp/server/running_server.h"

namespace torchdeploy::server {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

using Floats = std::vector<float>;

// Input "x" of shape [1, n], filled with -1 where it is padded; the model gives it back.
class PaddedBatchTest : public testing::Test {
 protected:
  std::shared_ptr<RequestQueue> EchoQueue(const std::map<std::string, TrimmedOutput>& trimmed) {
    const float element = -1;
    Padding padding{.inputs = {}, .outputs = trimmed};
    padding.inputs["x"] = {1, {reinterpret_cast<const char*>(&element), sizeof element}, "lengths"};
    return std::make_shared<RequestQueue>(
        LoadModel(*manager_, "echo.pkl"),
        QueueSettings{.batching = {.most_rows = 8, .padding = std::move(padding)}}, timer_);
  }

  void Submit(RequestQueue& queue, const Floats& row) {
    const Tensor x = MakeTensor(row);
    Value wide(Tensor::View(x.data(), x.dtype(), {1, x.num_elements()},
                            std::make_shared<const Tensor>(x)));
    const auto keep = [this](const Result<Value>& result, const RequestTimes& times) {
      const std::lock_guard lock(mutex_);
      echoed_.push_back(ElementsOf(result->get<Dict>()->at(0).second));
      const auto* lengths = result->get<Dict>()->at(1).second.get<Tensor>();
      lengths_.push_back(*static_cast<const int64_t*>(lengths->data()));
      rows_of_calls_.push_back(times.batch_rows);
    };
    Request request{.arguments = {{}, {{"x", std::move(wide)}}}, .done = keep};
    ASSERT_TRUE(queue.Submit(std::move(request)).ok());
  }

  // While no interpreter is free.
  void SubmitTogether(RequestQueue& queue, const std::vector<Floats>& rows) {
    const Result<InterpreterSession> busy = manager_->AcquireSession();
    for (const Floats& row : rows) {
      Submit(queue, row);
    }
  }

  void Await(size_t count) {
    Eventually([&] {
      const std::lock_guard lock(mutex_);
      return echoed_.size() == count;
    });
  }

  std::mutex mutex_;
  // Guarded by mutex_ until all have come.
  std::vector<Floats> echoed_;
  std::vector<int64_t> lengths_;
  std::vector<int64_t> rows_of_calls_;

  std::shared_ptr<Timer> timer_ = *Timer::Start();
  std::unique_ptr<InterpreterManager> manager_ = MakeManager(1);
};

TEST_F(PaddedBatchTest, RequestsOfDifferentLengthsAreOneCall) {
  const auto queue = EchoQueue({});
  SubmitTogether(*queue, {{1}, {2, 3, 4}, {5, 6}});
  Await(3);
  EXPECT_THAT(rows_of_calls_, ElementsAre(3, 3, 3));
  EXPECT_THAT(echoed_, ElementsAre(Floats{1, -1, -1}, Floats{2, 3, 4}, Floats{5, 6, -1}));
  EXPECT_THAT(lengths_, ElementsAre(1, 3, 2));
}

TEST_F(PaddedBatchTest, OutputsThatAreCutBackAreAsWithoutOthers) {
  const auto queue = EchoQueue({{"x", {1, "x"}}});
  SubmitTogether(*queue, {{1}, {2, 3, 4}, {5, 6}});
  Await(3);
  EXPECT_THAT(rows_of_calls_, ElementsAre(3, 3, 3));
  EXPECT_THAT(echoed_, ElementsAre(Floats{1}, Floats{2, 3, 4}, Floats{5, 6}));
}

TEST_F(PaddedBatchTest, ARequestThatRunsAloneHasItsLengthsToo) {
  const auto queue = EchoQueue({});
  Submit(*queue, {1, 2});
  Await(1);
  EXPECT_THAT(rows_of_calls_, ElementsAre(1));
  EXPECT_THAT(lengths_, ElementsAre(2));
}

class PaddedServerTest : public testing::Test {
 protected:
  void AddModel(const std::string& config) {
    std::string manifest = FakeManifest("echo",
                                        R"([{"name": "x", "datatype": "FP32", "shape": [-1, -1]},
          {"name": "x_lengths", "datatype": "INT64", "shape": [-1]}])");
    manifest.replace(manifest.find("\"batch_dimension\": null"), 23, "\"batch_dimension\": 0");
    running_.Add("speech", "1", manifest);
    std::ofstream(running_.models() + "/speech/config.yaml") << config;
  }

  RunningServer running_;
};

TEST_F(PaddedServerTest, ClientsNeitherSeeNorSendTheLengths) {
  AddModel("batching: {max_size: 4, padding: {x: {dimension: 1, lengths: x_lengths}}}");
  running_.Listen();
  running_.Load();
  grpc::ClientContext context;
  SetDeadline(context);
  inference::ModelMetadataRequest request;
  request.set_name("speech");
  inference::ModelMetadataResponse metadata;
  ASSERT_TRUE(running_.stub().ModelMetadata(&context, request, &metadata).ok());
  ASSERT_EQ(metadata.inputs_size(), 1);
  EXPECT_EQ(metadata.inputs(0).name(), "x");

  ModelInferRequest infer = RequestTo("speech");
  AddRaw(infer, "x", "FP32", {2, 1}, RawFloats({1, 2}));
  const Answer answer = running_.Infer(infer);
  ASSERT_TRUE(answer.status.ok()) << answer.status.error_message();
  ASSERT_EQ(answer.response.outputs_size(), 2);
  EXPECT_EQ(answer.response.outputs(1).name(), "x_lengths");
  EXPECT_EQ(answer.response.raw_output_contents(1),
            std::string("\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0", 16));

  AddRaw(infer, "x_lengths", "INT64", {2}, answer.response.raw_output_contents(1));
  const Answer refused = running_.Infer(infer);
  EXPECT_EQ(refused.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(refused.status.error_message(), HasSubstr("'x_lengths' is unknown"));
}

TEST_F(PaddedServerTest, PaddingThatTheModelCannotHaveEndsTheStart) {
  AddModel("batching: {max_size: 4, padding: {z: {dimension: 1}}}");
  running_.Listen();
  const Status status = running_.server().Load();
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_THAT(status.message(),
              AllOf(HasSubstr("speech/1/model.pt"), HasSubstr("no input 'z'; did you mean 'x'?")));
}

}  // namespace
}  // namespace torchdeploy::server
