// Tests of many calls at once, of calls that clients give up, and of the end.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
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

using testing::AnyOf;
using testing::Each;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::string RawInteger(int64_t number) {
  return {reinterpret_cast<const char*>(&number), sizeof number};
}

ModelInferRequest SleepRequest(int64_t milliseconds) {
  ModelInferRequest request = RequestTo("sleep");
  AddRaw(request, "milliseconds", "INT64", {1}, RawInteger(milliseconds));
  return request;
}

ModelInferRequest HangRequest() {
  ModelInferRequest request = RequestTo("hang");
  AddRaw(request, "x", "FP32", {2}, RawFloats({1, 2}));
  return request;
}

class LoadTest : public testing::Test {
 protected:
  void SetUp() override {
    running_.AddWithInputs("echo", {"x"});
    running_.AddWithInputs("sleep", {"milliseconds"});
    running_.AddWithInputs("hang", {"x"});
    running_.AddWithInputs("loop", {});
    running_.AddWithInputs("alias", {"x"});
    running_.Listen(2);
    running_.Load();
  }

  void RunThreads(size_t count, const std::function<void(size_t)>& body) {
    std::vector<std::thread> threads;
    for (size_t i = 0; i < count; ++i) {
      threads.emplace_back(body, i);
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
  }

  RunningServer running_;
};

TEST_F(LoadTest, SixteenThreadsEachGetTheirOwnAnswers) {
  constexpr size_t kThreads = 16;
  constexpr int kCalls = 4;
  std::atomic<int> right = 0;
  RunThreads(kThreads, [&](size_t thread) {
    for (int call = 0; call < kCalls; ++call) {
      const std::string raw = RawFloats({static_cast<float>(thread), static_cast<float>(call)});
      ModelInferRequest request = RequestTo("echo");
      AddRaw(request, "x", "FP32", {2}, raw);
      const Answer answer = running_.Infer(request);
      right += answer.status.ok() && answer.response.raw_output_contents(0) == raw ? 1 : 0;
    }
  });
  EXPECT_EQ(right, 64);
}

TEST_F(LoadTest, AnOutputThatAliasesTheModelsMemoryIsStable) {
  std::atomic<int> torn = 0;
  RunThreads(8, [&](size_t /*thread*/) {
    for (int call = 0; call < 25; ++call) {
      ModelInferRequest request = RequestTo("alias");
      AddRaw(request, "x", "FP32", {0}, "");
      const Answer answer = running_.Infer(request);
      ASSERT_TRUE(answer.status.ok()) << answer.status.error_message();
      const std::string& raw = answer.response.raw_output_contents(0);
      torn += raw.substr(0, 12) == raw.substr(4) ? 0 : 1;
    }
  });
  EXPECT_EQ(torn, 0);
}

TEST_F(LoadTest, ACancelledCallLeavesTheServerServing) {
  grpc::ClientContext context;
  ModelInferResponse response;
  grpc::Status status;
  std::thread client(
      [&] { status = running_.stub().ModelInfer(&context, HangRequest(), &response); });
  AwaitHanging(1);
  context.TryCancel();
  client.join();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(running_.Infer(SleepRequest(0)).status.ok());
  ReleaseHanging();  // The model now reads the request of a call that is long over.
  EXPECT_TRUE(running_.Infer(SleepRequest(0)).status.ok());
}

TEST_F(LoadTest, ACallPastItsDeadlineLeavesTheServerServing) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(100));
  ModelInferResponse response;
  const grpc::Status status = running_.stub().ModelInfer(&context, HangRequest(), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  AwaitHanging(1);
  ReleaseHanging();
  EXPECT_TRUE(running_.Infer(SleepRequest(0)).status.ok());
}

TEST_F(LoadTest, AnEndlessCallEndsInItsInterpreterWhenItsClientGivesUp) {
  for (int i = 0; i < 4; ++i) {  // More than there are interpreters.
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(50));
    ModelInferResponse response;
    const grpc::Status status = running_.stub().ModelInfer(&context, RequestTo("loop"), &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  }
  EXPECT_TRUE(running_.Infer(SleepRequest(0)).status.ok());
}

TEST_F(LoadTest, ATimeoutInMicrosecondsEndsTheRequest) {
  ModelInferRequest request = RequestTo("loop");
  (*request.mutable_parameters())["timeout"].set_int64_param(20'000);
  (*request.mutable_parameters())["priority"].set_uint64_param(3);
  const Answer answer = running_.Infer(request);
  EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_THAT(answer.status.error_message(), HasSubstr("timeout"));
  EXPECT_TRUE(running_.Infer(SleepRequest(0)).status.ok());
}

TEST_F(LoadTest, DrainAnswersTheCallsThatRunAndThoseThatWait) {
  constexpr size_t kCalls = 8;
  std::vector<grpc::Status> statuses(kCalls);
  std::atomic<size_t> sent = 0;
  std::thread clients([&] {
    RunThreads(kCalls, [&](size_t i) {
      ++sent;
      statuses[i] = running_.Infer(HangRequest()).status;
    });
  });
  AwaitHanging(2);
  Eventually([&] { return sent == kCalls; });
  std::this_thread::sleep_for(std::chrono::milliseconds(300));  // Until all are in the queue.
  std::atomic<bool> is_drained = false;
  std::thread drain([&] {
    running_.server().Drain();
    is_drained = true;
  });
  Eventually([&] { return !running_.IsReady(); });
  EXPECT_EQ(running_.Infer(SleepRequest(0)).status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_FALSE(is_drained);
  while (!is_drained) {
    ReleaseHanging();
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  drain.join();
  clients.join();
  for (const grpc::Status& status : statuses) {
    EXPECT_TRUE(status.ok()) << status.error_message();
  }
}

// gRPC itself ends as CANCELLED, unseen by the server, what reaches a connection in the instant
// in which it is closed; such a call has not run.
TEST_F(LoadTest, DrainUnderLoadEndsEveryCallWithAnAnswerOrARefusal) {
  constexpr size_t kThreads = 16;
  std::atomic<bool> is_draining = false;
  std::atomic<bool> is_over = false;
  std::vector<std::vector<grpc::StatusCode>> before(kThreads);
  std::vector<std::vector<grpc::StatusCode>> during(kThreads);
  std::atomic<size_t> answered_threads = 0;
  std::thread clients([&] {
    RunThreads(kThreads, [&](size_t i) {
      const auto stub = inference::GRPCInferenceService::NewStub(running_.NewChannel());
      while (!is_over) {
        grpc::ClientContext context;
        SetDeadline(context);
        ModelInferResponse response;
        auto& codes = is_draining ? during[i] : before[i];
        codes.push_back(stub->ModelInfer(&context, SleepRequest(1), &response).error_code());
        answered_threads += before[i].size() == 1 && during[i].empty() ? 1 : 0;
      }
    });
  });
  Eventually([&] { return answered_threads == kThreads; });
  is_draining = true;
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  running_.server().Drain();
  is_over = true;
  clients.join();
  for (size_t i = 0; i < kThreads; ++i) {
    EXPECT_THAT(before[i], Not(IsEmpty()));
    EXPECT_THAT(before[i], Each(grpc::StatusCode::OK));
    EXPECT_THAT(during[i], Each(AnyOf(grpc::StatusCode::OK, grpc::StatusCode::UNAVAILABLE,
                                      grpc::StatusCode::CANCELLED)));
  }
}

TEST_F(LoadTest, DrainTwiceIsDrainOnce) {
  running_.server().Drain();
  running_.server().Drain();
  EXPECT_EQ(running_.Infer(SleepRequest(0)).status.error_code(), grpc::StatusCode::UNAVAILABLE);
}

}  // namespace
}  // namespace torchdeploy::server
