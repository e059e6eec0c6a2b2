// What a model that is flooded does to one that is not.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "server/queued_request.h"
#include "server/request_queue.h"
#include "server/request_times.h"
#include "server/timer.h"
#include "torchdeploy/interpreter_manager.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

#include "open_inference_grpc.grpc.pb.h"
#include "open_inference_grpc.pb.h"
#include "tests/cpp/runtime/fake_pool.h"
#include "tests/cpp/server/running_server.h"

namespace torchdeploy::server {
namespace {

class FloodedQueueTest : public testing::Test {
 protected:
  std::shared_ptr<RequestQueue> QueueOf(const std::string& model) {
    return std::make_shared<RequestQueue>(LoadModel(*manager_, model), QueueSettings{}, timer_);
  }

  static void Submit(RequestQueue& queue, int count, std::atomic<int>& answers) {
    for (int i = 0; i < count; ++i) {
      const auto count_it = [&answers](const Result<Value>&, const RequestTimes&) { ++answers; };
      ASSERT_TRUE(queue.Submit({.arguments = {{1}, {}}, .done = count_it}).ok());
    }
  }

  std::shared_ptr<Timer> timer_ = *Timer::Start();
  std::unique_ptr<InterpreterManager> manager_ = MakeManager(2);
};

TEST_F(FloodedQueueTest, AQuietModelWaitsOnlyForTheCallsThatRun) {
  constexpr int kRequests = 20;
  const auto flooded = QueueOf("hang.pkl");
  const auto quiet = QueueOf("echo.pkl");
  std::atomic<int> flood_answers = 0;
  std::atomic<int> quiet_answers = 0;
  Submit(*flooded, kRequests, flood_answers);
  AwaitHanging(2);
  for (int round = 1; round <= 5; ++round) {
    Submit(*quiet, 1, quiet_answers);
    ReleaseHanging();  // Those that run; all after them hang again.
    Eventually([&] { return quiet_answers == round; });
    AwaitHanging(2);
  }
  Eventually([&] {
    ReleaseHanging();
    return flood_answers == kRequests;
  });
}

// Keeps requests for one model under way until it is destroyed.
class Flood {
 public:
  Flood(inference::GRPCInferenceService::Stub& stub, ModelInferRequest request, int at_once)
      : stub_(stub), request_(std::move(request)), under_way_(at_once) {
    for (int i = 0; i < at_once; ++i) {
      Send();
    }
  }
  Flood(const Flood&) = delete;
  Flood& operator=(const Flood&) = delete;
  ~Flood() {
    is_over_ = true;
    Eventually([this] { return under_way_ == 0; });
  }

 private:
  struct Call {
    grpc::ClientContext context;
    ModelInferResponse response;
  };

  void Send() {
    const auto call = std::make_shared<Call>();
    SetDeadline(call->context);
    stub_.async()->ModelInfer(&call->context, &request_, &call->response,
                              [this, call](const grpc::Status& status) {
                                EXPECT_TRUE(status.ok()) << status.error_message();
                                if (is_over_) {
                                  --under_way_;
                                } else {
                                  Send();
                                }
                              });
  }

  inference::GRPCInferenceService::Stub& stub_;
  const ModelInferRequest request_;
  std::atomic<int> under_way_;
  std::atomic<bool> is_over_ = false;
};

class FloodedServerTest : public testing::Test {
 protected:
  using Times = std::vector<std::chrono::nanoseconds>;

  static ModelInferRequest SleepRequest(const std::string& model) {
    const int64_t milliseconds = 10;
    ModelInferRequest request = RequestTo(model);
    AddRaw(request, "milliseconds", "INT64", {1},
           {reinterpret_cast<const char*>(&milliseconds), sizeof milliseconds});
    return request;
  }

  // Of calls of the quiet model, one after the other.
  void Measure(int calls, Times& times) {
    const ModelInferRequest request = SleepRequest("quiet");
    for (int i = 0; i < calls; ++i) {
      const auto begin = std::chrono::steady_clock::now();
      ASSERT_TRUE(running_.Infer(request).status.ok());
      times.push_back(std::chrono::steady_clock::now() - begin);
    }
  }

  static double P99Ms(Times times) {
    const auto at = times.begin() + static_cast<std::ptrdiff_t>(times.size() * 99 / 100);
    std::nth_element(times.begin(), at, times.end());
    return std::chrono::duration<double, std::milli>(*at).count();
  }

  RunningServer running_;
};

TEST_F(FloodedServerTest, AQuietModelTakesAtMostThreeTimesAsLong) {
  constexpr int kRounds = 10;
  constexpr int kCalls = 30;
  constexpr int kFlood = 64;
  const std::string inputs = R"([{"name": "milliseconds", "datatype": "INT64", "shape": [1]}])";
  running_.Add("quiet", "1", FakeManifest("sleep", inputs));
  running_.Add("flooded", "1", FakeManifest("sleep", inputs));
  running_.Listen(2);
  running_.Load();
  Times without;
  Times with;
  // In turns, so that what else the machine does slows both down.
  for (int round = 0; round < kRounds; ++round) {
    Measure(kCalls, without);
    const Flood flood(running_.stub(), SleepRequest("flooded"), kFlood);
    Measure(kCalls, with);
  }
  EXPECT_LE(P99Ms(with), 3 * P99Ms(without));
}

}  // namespace
}  // namespace torchdeploy::server
