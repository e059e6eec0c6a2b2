// Deadlines and cancellation of calls, in the queue, while they run, and when they hang.
#include "torchdeploy/call_options.h"

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "torchdeploy/interpreter_manager.h"
#include "torchdeploy/interpreter_session.h"
#include "torchdeploy/options.h"
#include "torchdeploy/replicated_obj.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

#include "tests/cpp/runtime/fake_pool.h"

namespace torchdeploy {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

CallOptions Within(milliseconds time) {
  return {.deadline = std::chrono::steady_clock::now() + time};
}

TEST(CallOptionsTest, CallThatIsInTimeHasItsAnswer) {
  const auto manager = MakeManager(1);
  const ReplicatedObj echo = LoadModel(*manager, "echo.pkl");
  const Result<Value> answer = echo.Call({"hello"}, {}, Within(std::chrono::minutes(10)));
  ASSERT_TRUE(answer.ok()) << answer.status().ToString();
  EXPECT_EQ(*answer->get<std::string>(), "hello");
}

TEST(CallOptionsTest, LoopIsEndedAtItsDeadlineAndTheInterpreterGoesOn) {
  const auto manager = MakeManager(1);
  const ReplicatedObj loop = LoadModel(*manager, "loop.pkl");
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(loop.Call({}, {}, Within(milliseconds(20))).status().code(), Code::kDeadlineExceeded);
    EXPECT_TRUE(LoadModel(*manager, "echo.pkl").Call({i}).ok());
  }
  EXPECT_EQ(manager->interpreters_replaced(), 0U);
}

TEST(CallOptionsTest, DeadlineThatHasPassedIsTheAnswerAndNothingRuns) {
  const auto manager = MakeManager(1);
  const Result<InterpreterSession> busy = manager->AcquireSession();
  const ReplicatedObj count = LoadModel(*manager, "count.pkl");
  const auto before = IntegerOf(*busy->FromMovable(count)->Call({})->ToValue());
  EXPECT_EQ(count.Call({}, {}, Within(milliseconds(1))).status().code(), Code::kDeadlineExceeded);
  EXPECT_EQ(IntegerOf(*busy->FromMovable(count)->Call({})->ToValue()), before + 1);
}

TEST(CallOptionsTest, CancelledCallIsAnsweredAtOnceInTheQueueAndWhileItRuns) {
  const auto manager = MakeManager(1);
  const ReplicatedObj loop = LoadModel(*manager, "loop.pkl");
  const Cancellation cancellation;
  std::atomic<int> cancelled = 0;
  for (int i = 0; i < 3; ++i) {
    loop.CallAsync({}, {},
                   [&](const Result<Value>& result) {
                     cancelled += result.status().code() == Code::kCancelled ? 1 : 0;
                   },
                   {.cancellation = cancellation});
  }
  EXPECT_FALSE(cancellation.is_cancelled());
  cancellation.Cancel();
  EXPECT_EQ(cancelled, 3);
  EXPECT_TRUE(cancellation.is_cancelled());
  EXPECT_TRUE(LoadModel(*manager, "echo.pkl").Call({1}).ok());
  EXPECT_EQ(loop.Call({}, {}, {.cancellation = cancellation}).status().code(), Code::kCancelled);
}

TEST(CallOptionsTest, InterpreterThatHangsIsReplacedAndTheOthersGoOn) {
  std::mutex mutex;
  std::vector<std::string> lines;  // Guarded by mutex.
  Options options = FakeOptions(2);
  options.log = [&](const std::string& line) {
    const std::lock_guard lock(mutex);
    lines.push_back(line);
  };
  auto manager = *InterpreterManager::Create(options);
  ASSERT_TRUE(manager->RegisterModuleSource("greeting", "hello").ok());
  const ReplicatedObj hang = LoadModel(*manager, "hang.pkl");
  const ReplicatedObj slot_of = LoadModel(*manager, "slot.pkl");

  EXPECT_EQ(hang.Call({}, {}, Within(milliseconds(10))).status().code(), Code::kDeadlineExceeded);
  const auto hung = static_cast<size_t>(1 - IntegerOf(*slot_of.Call({})));
  Eventually([&] { return manager->interpreters_replaced() == 1; });
  const Result<InterpreterSession> session = slot_of.AcquireSession(hung);
  ASSERT_TRUE(session.ok()) << session.status().ToString();
  EXPECT_EQ(IntegerOf(*session->self().Call({})->ToValue()), static_cast<int64_t>(hung));
  EXPECT_EQ(*session->Global("greeting", "source")->ToValue()->get<std::string>(), "hello");
  {
    const std::lock_guard lock(mutex);
    EXPECT_THAT(lines, ElementsAre(HasSubstr("Interpreter " + std::to_string(hung) + " did not")));
  }

  ReleaseHanging();  // What comes back late is nobody's.
  EXPECT_TRUE(slot_of.Call({}).ok());
}

TEST(CallOptionsTest, CallsThatEndWhileTheyAreEndedAreAnsweredOnce) {
  const auto manager = MakeManager(2);
  const ReplicatedObj sleep = LoadModel(*manager, "sleep.pkl");
  std::atomic<int> answers = 0;
  for (int i = 0; i < 200; ++i) {
    const Cancellation cancellation;
    sleep.CallAsync({i % 2}, {}, [&](const Result<Value>&) { ++answers; },
                    {.deadline = std::chrono::steady_clock::now() + milliseconds(1),
                     .cancellation = cancellation});
    if (i % 3 == 0) {
      cancellation.Cancel();
    }
  }
  Eventually([&] { return answers == 200; });
  manager->Close();
  EXPECT_EQ(answers, 200);
  EXPECT_EQ(manager->interpreters_replaced(), 0U);
}

}  // namespace
}  // namespace torchdeploy
