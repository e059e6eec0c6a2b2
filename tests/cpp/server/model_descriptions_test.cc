// Tests of what the server says of its models: configuration, statistics, index.
#include <atomic>
#include <cstdint>
#include <fstream>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "server/inference_statistics.h"
#include "server/request_times.h"

#include "open_inference_grpc.grpc.pb.h"
#include "open_inference_grpc.pb.h"
#include "tests/cpp/server/running_server.h"

namespace torchdeploy::server {
namespace {

using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::Gt;
using testing::Lt;

constexpr const char* kInputs =
    R"([{"name": "x", "datatype": "FP32", "shape": [-1, 2]},
        {"name": "t", "datatype": "BYTES", "shape": [-1]},
        {"name": "any", "datatype": "", "shape": null}])";

class ModelDescriptionsTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string batched = FakeManifest("double", kInputs);
    batched.replace(batched.find("\"batch_dimension\": null"), 23, "\"batch_dimension\": 0");
    running_.Add("batched", "1", batched);
    std::ofstream(running_.models() + "/batched/config.yaml")
        << "batching: {max_size: 8, max_delay_us: 1000, preferred_sizes: [4]}\n"
           "queue: {max_size: 20}";
    running_.AddWithInputs("double", {"x"});
    running_.Listen(2);
    running_.Load();
  }

  inference::ModelConfig ConfigOf(const std::string& name) {
    grpc::ClientContext context;
    SetDeadline(context);
    inference::ModelConfigRequest request;
    request.set_name(name);
    inference::ModelConfigResponse response;
    const grpc::Status status = running_.stub().ModelConfig(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.config();
  }

  grpc::Status Statistics(const std::string& name, const std::string& version,
                          inference::ModelStatisticsResponse* response) {
    grpc::ClientContext context;
    SetDeadline(context);
    inference::ModelStatisticsRequest request;
    request.set_name(name);
    request.set_version(version);
    return running_.stub().ModelStatistics(&context, request, response);
  }

  inference::ModelStatistics StatisticsOf(const std::string& name) {
    inference::ModelStatisticsResponse response;
    EXPECT_TRUE(Statistics(name, "", &response).ok());
    EXPECT_EQ(response.model_stats_size(), 1);
    return response.model_stats(0);
  }

  RunningServer running_;
};

TEST_F(ModelDescriptionsTest, ConfigOfABatchedModelIsWithoutTheBatchDimension) {
  const inference::ModelConfig config = ConfigOf("batched");
  EXPECT_EQ(config.name(), "batched");
  EXPECT_EQ(config.backend(), "torchdeploy");
  EXPECT_EQ(config.max_batch_size(), 8);
  ASSERT_EQ(config.input_size(), 3);
  EXPECT_EQ(config.input(0).data_type(), inference::TYPE_FP32);
  EXPECT_THAT(config.input(0).dims(), ElementsAre(2));
  EXPECT_EQ(config.input(1).data_type(), inference::TYPE_STRING);
  EXPECT_EQ(config.input(2).data_type(), inference::TYPE_INVALID);
  EXPECT_THAT(config.output(0).dims(), ElementsAre(2));
  EXPECT_THAT(config.dynamic_batching().preferred_batch_size(), ElementsAre(4, 8));
  EXPECT_EQ(config.dynamic_batching().max_queue_delay_microseconds(), 1000U);
  EXPECT_EQ(config.dynamic_batching().default_queue_policy().max_queue_size(), 20U);
  EXPECT_EQ(config.instance_group(0).count(), 2);
}

TEST_F(ModelDescriptionsTest, ConfigOfAModelThatIsNotBatchedHasWholeShapes) {
  const inference::ModelConfig config = ConfigOf("double");
  EXPECT_EQ(config.max_batch_size(), 0);
  EXPECT_FALSE(config.has_dynamic_batching());
  EXPECT_THAT(config.output(0).dims(), ElementsAre(-1, 2));
}

TEST_F(ModelDescriptionsTest, StatisticsCountWhatSucceedsAndWhatFails) {
  ModelInferRequest request = RequestTo("double");
  AddRaw(request, "x", "FP32", {2}, RawFloats({1, 2}));
  ASSERT_TRUE(running_.Infer(request).status.ok());
  ASSERT_TRUE(running_.Infer(request).status.ok());
  ASSERT_FALSE(running_.Infer(RequestTo("double")).status.ok());  // No input.
  const inference::ModelStatistics statistics = StatisticsOf("double");
  EXPECT_EQ(statistics.version(), "1");
  EXPECT_EQ(statistics.inference_count(), 2U);
  EXPECT_EQ(statistics.execution_count(), 2U);
  EXPECT_GT(statistics.last_inference(), 1'700'000'000'000U);
  const inference::InferStatistics& inferences = statistics.inference_stats();
  EXPECT_EQ(inferences.success().count(), 2U);
  EXPECT_EQ(inferences.fail().count(), 1U);
  EXPECT_EQ(inferences.queue().count(), 2U);
  const std::vector<uint64_t> parts_ns = {inferences.queue().ns(), inferences.compute_input().ns(),
                                          inferences.compute_infer().ns(),
                                          inferences.compute_output().ns()};
  // Each by itself: a sum of durations from nowhere would wrap around to the right one.
  EXPECT_THAT(parts_ns, Each(AllOf(Gt(0U), Lt(inferences.success().ns()))));
  EXPECT_LE(std::accumulate(parts_ns.begin(), parts_ns.end(), uint64_t{0}),
            inferences.success().ns());
  ASSERT_EQ(statistics.batch_stats_size(), 1);
  EXPECT_EQ(statistics.batch_stats(0).batch_size(), 1U);
  EXPECT_EQ(statistics.batch_stats(0).compute_infer().count(), 2U);
}

TEST_F(ModelDescriptionsTest, StatisticsOfABatchAreByItsRows) {
  ModelInferRequest request = RequestTo("batched");
  AddRaw(request, "x", "FP32", {4, 2}, RawFloats({1, 2, 3, 4, 5, 6, 7, 8}));
  AddRaw(request, "t", "BYTES", {4}, RawByteStrings({"a", "b", "c", "d"}));
  AddRaw(request, "any", "FP32", {4}, RawFloats({1, 2, 3, 4}));
  const Answer answer = running_.Infer(request);
  ASSERT_TRUE(answer.status.ok()) << answer.status.error_message();
  const inference::ModelStatistics statistics = StatisticsOf("batched");
  EXPECT_EQ(statistics.inference_count(), 4U);
  EXPECT_EQ(statistics.execution_count(), 1U);
  EXPECT_EQ(statistics.batch_stats(0).batch_size(), 4U);
}

TEST(InferenceStatisticsTest, ACallIsCountedOnceByAnyOfItsRequestsThatSucceeds) {
  InferenceStatistics statistics;
  RequestTimes times;
  times.batch_rows = 3;
  times.is_counted = std::make_shared<std::atomic_flag>();
  statistics.RecordFailure(Code::kUnknown, times.arrival, times.arrival);  // The call's first, say.
  statistics.RecordSuccess(times, times.arrival, times.arrival);
  statistics.RecordSuccess(times, times.arrival, times.arrival);
  EXPECT_EQ(statistics.Get().rows, 2U);
  EXPECT_EQ(statistics.Get().calls, 1U);
  EXPECT_EQ(statistics.Get().by_batch_rows.at(3).infer.count, 1U);
}

TEST_F(ModelDescriptionsTest, StatisticsWithoutANameAreThoseOfEveryModel) {
  inference::ModelStatisticsResponse response;
  ASSERT_TRUE(Statistics("", "", &response).ok());
  EXPECT_EQ(response.model_stats_size(), 2);
  EXPECT_EQ(Statistics("unheard", "", &response).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Statistics("double", "7", &response).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(ModelDescriptionsTest, TheIndexHasEveryModelAndVersion) {
  grpc::ClientContext context;
  SetDeadline(context);
  inference::RepositoryIndexResponse response;
  ASSERT_TRUE(running_.stub().RepositoryIndex(&context, {}, &response).ok());
  ASSERT_EQ(response.models_size(), 2);
  EXPECT_EQ(response.models(0).name(), "batched");
  EXPECT_EQ(response.models(0).version(), "1");
  EXPECT_EQ(response.models(0).state(), "READY");
}

}  // namespace
}  // namespace torchdeploy::server
