// How a process ends in which TorchScript runs.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "torchdeploy/replicated_obj.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

#include "tests/cpp/native/native_archives.h"

namespace torchdeploy {

namespace {

using ::testing::ExitedWithCode;

// Leaves `count` threads in calls, one after another, each of which takes about so long.
void KeepCalling(const ReplicatedObj& model, int count, double seconds) {
  std::atomic<int> started{0};
  for (int i = 0; i < count; ++i) {
    std::thread([model, seconds, &started] {
      started.fetch_add(1);
      while (true) {
        const Result<Value> ignored = model.Call({seconds});
      }
    }).detach();
  }
  while (started.load() < count) {
    std::this_thread::yield();
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(100));  // To be well inside.
}

void SayGoodbye() {
  std::fputs("goodbye\n", stderr);
}

// A death test runs in a process of its own, which must be forked without threads.
class NativeEndingDeathTest : public ::testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(NativeEndingDeathTest, ExitIsSafeWhileACallRunsAndKeepsItsStatus) {
  EXPECT_EXIT(
      {
        KeepCalling(LoadNativeModel("endless.pt"), 1, 1000);
        std::exit(3);
      },
      ExitedWithCode(3), "");
}

TEST_F(NativeEndingDeathTest, PythonsInterpretersEndAsEverWhileACallWithoutPythonRuns) {
  EXPECT_EXIT(
      {
        const ReplicatedObj endless = LoadNativeModel("endless.pt");
        const bool said = LoadNativeModel("last_words.pt").Call({}).ok();
        KeepCalling(endless, 1, 1000);
        std::exit(said ? 3 : 4);
      },
      ExitedWithCode(3), "last words");
}

TEST_F(NativeEndingDeathTest, ExitIsSafeWhileShortCallsComeAndGoAndRunsItsHandlers) {
  for (int round = 0; round < 5; ++round) {
    EXPECT_EXIT(
        {
          std::atexit(&SayGoodbye);
          KeepCalling(LoadNativeModel("endless.pt"), 4, 0.01);
          std::exit(3);
        },
        ExitedWithCode(3), "goodbye");
  }
}

}  // namespace

}  // namespace torchdeploy
