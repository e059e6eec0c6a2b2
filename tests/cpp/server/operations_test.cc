// Tests of what operators set and see: limits, the log, metrics, and the time that a drain has.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "server/log.h"
#include "server/metrics.h"
#include "server/server.h"
#include "torchdeploy/status.h"

#include "open_inference_grpc.pb.h"
#include "tests/cpp/runtime/fake_pool.h"
#include "tests/cpp/server/running_server.h"
#include <prometheus/client_metric.h>
#include <prometheus/metric_family.h>

namespace torchdeploy::server {
namespace {

using prometheus::ClientMetric;
using testing::AnyOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class OperationsTest : public testing::Test {
 protected:
  void SetUp() override {
    running_.AddWithInputs("echo", {"x"});
    running_.AddWithInputs("hang", {"x"});
    running_.AddWithInputs("loop", {});
    running_.wanted().log = {LogFormat::kText, [this](const std::string& line) {
                               const std::lock_guard lock(mutex_);
                               lines_.push_back(line);
                             }};
  }

  void Start() {
    running_.Listen(2);
    running_.Load();
  }

  static ModelInferRequest Floats(const std::string& model, size_t count) {
    ModelInferRequest request = RequestTo(model);
    AddRaw(request, "x", "FP32", {static_cast<int64_t>(count)},
           std::string(count * sizeof(float), '\0'));
    return request;
  }

  std::vector<std::string> lines() {
    const std::lock_guard lock(mutex_);
    return lines_;
  }

  std::mutex mutex_;
  std::vector<std::string> lines_;  // Guarded by mutex_.
  RunningServer running_;           // Ends before the lines do.
};

// The one metric with these labels, of a model's family.
std::optional<ClientMetric> Find(const std::vector<prometheus::MetricFamily>& families,
                                 const std::string& name,
                                 const std::map<std::string, std::string>& labels) {
  for (const auto& family : families) {
    for (const ClientMetric& metric : family.metric) {
      std::map<std::string, std::string> found;
      for (const auto& label : metric.label) {
        found.emplace(label.name, label.value);
      }
      if (family.name == name && found == labels) {
        return metric;
      }
    }
  }
  return std::nullopt;
}

TEST_F(OperationsTest, ARequestOverTheLimitOfBytesIsRefused) {
  running_.wanted().most_request_bytes = 1000;
  Start();
  EXPECT_TRUE(running_.Infer(Floats("echo", 200)).status.ok());
  EXPECT_EQ(running_.Infer(Floats("echo", 300)).status.error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(running_.Infer(Floats("echo", 200)).status.ok());
}

TEST_F(OperationsTest, RequestsThatAreNotAnsweredHaveNoMoreBytesThanTheyMay) {
  running_.wanted().most_bytes_in_flight = 10'000;
  Start();
  std::thread hanging([this] { EXPECT_TRUE(running_.Infer(Floats("hang", 2000)).status.ok()); });
  AwaitHanging(1);
  const Answer refused = running_.Infer(Floats("echo", 1000));
  EXPECT_EQ(refused.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(refused.status.error_message(), HasSubstr("10000 together are the most"));
  EXPECT_TRUE(running_.Infer(Floats("echo", 10)).status.ok());
  ReleaseHanging();
  hanging.join();
  // Its bytes are counted until gRPC has let it go, which is after the client has its answer.
  Eventually([this] { return running_.Infer(Floats("echo", 1000)).status.ok(); });
}

TEST_F(OperationsTest, MoreInputsThanAModelCanHaveAreRefused) {
  Start();
  ModelInferRequest request = RequestTo("echo");
  for (int i = 0; i < 1025; ++i) {
    AddRaw(request, "x" + std::to_string(i), "FP32", {0}, "");
  }
  const Answer answer = running_.Infer(request);
  EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(answer.status.error_message(), HasSubstr("1025 inputs; 1024"));
}

TEST_F(OperationsTest, EachFailedRequestIsOneLineOfTheLogAndAGoodOneNone) {
  Start();
  EXPECT_TRUE(running_.Infer(Floats("echo", 2)).status.ok());
  EXPECT_THAT(lines(), IsEmpty());
  ModelInferRequest request = RequestTo("echo");
  request.set_id("17");
  EXPECT_FALSE(running_.Infer(request).status.ok());
  EXPECT_FALSE(running_.Infer(RequestTo("unheard")).status.ok());
  EXPECT_THAT(lines(), ElementsAre("torchdeploy: request failed: model 'echo' version '1' id '17' "
                                   "INVALID_ARGUMENT: input 'x' is missing",
                                   HasSubstr("request failed: model 'unheard' NOT_FOUND: ")));
}

TEST_F(OperationsTest, MetricsAreThoseOfModelStatistics) {
  Start();
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(running_.Infer(Floats("echo", 2)).status.ok());
  }
  EXPECT_FALSE(running_.Infer(RequestTo("echo")).status.ok());
  const auto families = Metrics(running_.server().models()).Collect();
  grpc::ClientContext context;
  SetDeadline(context);
  inference::ModelStatisticsRequest request;
  request.set_name("echo");
  inference::ModelStatisticsResponse response;
  ASSERT_TRUE(running_.stub().ModelStatistics(&context, request, &response).ok());
  const inference::InferStatistics& statistics = response.model_stats(0).inference_stats();
  const std::map<std::string, std::string> echo = {{"model", "echo"}, {"version", "1"}};
  const auto with_status = [&echo](const std::string& status) {
    auto labels = echo;
    labels["status"] = status;
    return labels;
  };
  EXPECT_EQ(Find(families, "torchdeploy_requests_total", with_status("OK"))->counter.value, 3);
  EXPECT_EQ(
      Find(families, "torchdeploy_requests_total", with_status("INVALID_ARGUMENT"))->counter.value,
      1);
  EXPECT_EQ(statistics.success().count(), 3U);
  EXPECT_EQ(statistics.fail().count(), 1U);
  for (const auto& [name, duration] :
       {std::pair("torchdeploy_request_seconds", &statistics.success()),
        std::pair("torchdeploy_failed_request_seconds", &statistics.fail()),
        std::pair("torchdeploy_queue_seconds", &statistics.queue()),
        std::pair("torchdeploy_batch_seconds", &statistics.compute_input()),
        std::pair("torchdeploy_execution_seconds", &statistics.compute_infer()),
        std::pair("torchdeploy_response_seconds", &statistics.compute_output())}) {
    const auto metric = Find(families, name, echo);
    ASSERT_TRUE(metric) << name;
    EXPECT_EQ(metric->histogram.sample_count, duration->count()) << name;
    EXPECT_DOUBLE_EQ(metric->histogram.sample_sum, static_cast<double>(duration->ns()) / 1e9);
    EXPECT_EQ(metric->histogram.bucket.back().cumulative_count, duration->count()) << name;
  }
  const auto rows = Find(families, "torchdeploy_call_rows", echo);
  ASSERT_TRUE(rows);
  EXPECT_EQ(rows->histogram.sample_count, response.model_stats(0).execution_count());
  EXPECT_EQ(rows->histogram.sample_sum, 3);
  EXPECT_EQ(rows->histogram.bucket.front().cumulative_count, 3U);
  EXPECT_EQ(Find(families, "torchdeploy_queue_length", echo)->gauge.value, 0);
  EXPECT_GT(Find(families, "process_resident_memory_bytes", {})->gauge.value, 1e6);
}

TEST_F(OperationsTest, MetricsSayHowManyRequestsWait) {
  Start();
  std::atomic<int> answered = 0;
  std::vector<std::thread> clients;
  for (int i = 0; i < 3; ++i) {
    clients.emplace_back([this, &answered] {
      EXPECT_TRUE(running_.Infer(Floats("hang", 2)).status.ok());
      ++answered;
    });
  }
  AwaitHanging(2);
  const auto waiting = [this] {
    const auto families = Metrics(running_.server().models()).Collect();
    return Find(families, "torchdeploy_queue_length", {{"model", "hang"}, {"version", "1"}})
        ->gauge.value;
  };
  Eventually([&] { return waiting() == 1; });
  while (answered < 3) {
    ReleaseHanging();
  }
  EXPECT_EQ(waiting(), 0);
  for (std::thread& client : clients) {
    client.join();
  }
}

TEST_F(OperationsTest, ADrainCancelsWhatIsNotAnsweredInItsTime) {
  Start();
  grpc::Status status;
  std::thread client([&] { status = running_.Infer(RequestTo("loop")).status; });
  Eventually([this] { return running_.server().models().All().size() == 3; });
  std::this_thread::sleep_for(std::chrono::milliseconds(100));  // Until it runs.
  EXPECT_FALSE(running_.server().Drain(std::chrono::milliseconds(50)));
  client.join();
  EXPECT_THAT(status.error_code(),
              AnyOf(grpc::StatusCode::CANCELLED, grpc::StatusCode::UNAVAILABLE));
  EXPECT_THAT(lines(), ElementsAre(HasSubstr("model 'loop' version '1' CANCELLED")));
}

TEST_F(OperationsTest, ADrainWithNothingToWaitForIsInTime) {
  Start();
  EXPECT_TRUE(running_.server().Drain(std::chrono::milliseconds(0)));
}

TEST_F(OperationsTest, TokensAreNotSentInTheClear) {
  running_.wanted().tokens = "tokens.yaml";
  const Status status = Server::Listen(running_.options()).status();
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("TLS"));
}

TEST_F(OperationsTest, ATlsFileThatIsMissingOrWrongIsNamed) {
  running_.wanted().tls = {.certificate = "/nowhere/cert.pem"};
  EXPECT_THAT(Server::Listen(running_.options()).status().message(), HasSubstr("without its key"));
  running_.wanted().tls = {.certificate = "/nowhere/cert.pem", .key = "/nowhere/key.pem"};
  EXPECT_THAT(Server::Listen(running_.options()).status().message(), HasSubstr("/nowhere/key.pem"));
  running_.wanted().tls = {.certificate = __FILE__, .key = __FILE__};
  EXPECT_THAT(Server::Listen(running_.options()).status().message(),
              HasSubstr("are not a TLS certificate and its key"));
}

}  // namespace
}  // namespace torchdeploy::server
