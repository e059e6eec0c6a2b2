// Many threads in one interpreter.
#include <atomic>
#include <cstddef>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "interpreter_lib/abi/interp_abi.h"

#include "tests/cpp/engine/engine_under_test.h"
#include "tests/cpp/engine/values.h"

namespace torchdeploy::testing {
namespace {

class ThreadTest : public ::testing::Test {
 protected:
  EngineUnderTest& engine_ = EngineUnderTest::Get();
};

constexpr int kThreads = 8;
constexpr int kCalls = 500;

// How many of one thread's calls gave the right answer.
int CountRightAnswers(EngineUnderTest& engine, td_object twice, int thread) {
  int right = 0;
  for (int call = 0; call < kCalls; ++call) {
    const auto number = static_cast<float>(thread * kCalls + call);
    Outcome outcome = engine.Call(twice, {Arena::Tensor(FloatTensor({1}, {number}))});
    right += Floats(outcome.value()) == std::vector<float>{2 * number} ? 1 : 0;
  }
  return right;
}

TEST_F(ThreadTest, ConcurrentCallsEachGetTheirOwnAnswer) {
  const td_object twice = engine_.Eval("lambda x: x * 2");
  std::atomic<int> right = 0;
  std::vector<std::thread> threads(kThreads);
  for (int thread = 0; thread < kThreads; ++thread) {
    threads[static_cast<size_t>(thread)] = std::thread(
        [this, thread, twice, &right] { right += CountRightAnswers(engine_, twice, thread); });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(right, kThreads * kCalls);
}

TEST_F(ThreadTest, ThreadStateIsKeptBetweenCallsAndFreedWithItsThread) {
  const td_object death = engine_.Define(R"(
import threading
local = threading.local()
alive = []
class Mark:
    def __init__(self): alive.append(1)
    def __del__(self): alive.pop()
def mark():
    if not hasattr(local, "mark"):
        local.mark = Mark()
    return len(alive)
)",
                                         "mark");
  std::thread([&] {
    EXPECT_EQ(engine_.Call(death).Show(), "1");
    EXPECT_EQ(engine_.Call(death).Show(), "1");
  }).join();
  std::thread([&] { EXPECT_EQ(engine_.Call(death).Show(), "1"); }).join();
}

TEST_F(ThreadTest, ThreadStartedByTheModelMayOutliveItsCall) {
  const td_object start = engine_.Define(R"(
import threading
event = threading.Event()
def start():
    threading.Thread(target=event.wait).start()
    return threading.active_count()
)",
                                         "start");
  EXPECT_TRUE(engine_.Call(start).ok());
  EXPECT_EQ(engine_
                .CallExpression("lambda: [t for t in __import__('threading').enumerate()"
                                " if not isinstance(t, __import__('threading')._MainThread)"
                                " and type(t) is __import__('threading').Thread].__len__()")
                .Show(),
            "1");
}

}  // namespace
}  // namespace torchdeploy::testing
