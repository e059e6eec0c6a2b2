// How a C++ process ends that holds interpreters: what they still do, and what cannot hurt.
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "torchdeploy/interpreter_manager.h"
#include "torchdeploy/package.h"
#include "torchdeploy/process_exit.h"
#include "torchdeploy/replicated_obj.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

#include <sys/wait.h>

namespace torchdeploy {
namespace {

using ::testing::AllOf;
using ::testing::ExitedWithCode;
using ::testing::HasSubstr;

// The interpreters of a process that will end, and the threads that are in calls then.
class Host {
 public:
  explicit Host(int interpreters) {
    dup2(STDERR_FILENO, STDOUT_FILENO);  // Death tests read what is written to stderr.
    auto manager = InterpreterManager::Create(
        {.interpreters = interpreters, .intra_op_threads = 1, .python = TD_PYTHON});
    if (!manager.ok()) {
      Fail(manager.status());
    }
    manager_ = *std::move(manager);
  }

  [[nodiscard]] ReplicatedObj Model(const std::string& name) const {
    auto package = manager_->LoadPackage(TD_ARCHIVE);
    if (!package.ok()) {
      Fail(package.status());
    }
    return package->LoadPickle("model", name);
  }

  void SayLastWordsEverywhere() const {
    for (size_t slot = 0; slot < manager_->size(); ++slot) {
      const auto session = Model("say_last_words").AcquireSession(slot);
      const auto said = session->self().Call({});
      if (!said.ok()) {
        Fail(said.status());
      }
    }
  }

  // Leaves this many threads in calls that do not end.
  void StartCalls(const std::string& name, int count) const {
    const ReplicatedObj model = Model(name);
    if (const Status status = model.LoadEverywhere(); !status.ok()) {
      Fail(status);
    }
    std::atomic<int> started{0};
    for (int i = 0; i < count; ++i) {
      std::thread([model, &started] {
        started.fetch_add(1);
        const auto never = model.Call({});
        Fail(never.status());
      }).detach();
    }
    while (started.load() < count) {
      std::this_thread::yield();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));  // To be well inside.
  }

  void StartAsyncCall(const std::string& name) const {
    Model(name).CallAsync({}, {}, [](const Result<Value>& never) { Fail(never.status()); });
  }

  // Leaves the manager open, as a host does that calls exit() anywhere.
  void LeaveOpen() { manager_.release(); }  // NOLINT(bugprone-unused-return-value)

 private:
  [[noreturn]] static void Fail(const Status& status) {
    const std::string message = "unexpected: " + status.ToString() + "\n";
    [[maybe_unused]] const auto written = write(STDERR_FILENO, message.data(), message.size());
    _exit(99);
  }

  std::unique_ptr<InterpreterManager> manager_;
};

constexpr auto kWordsOfOne = "buffered words of a model\nlast words of a model\n";

class EndingDeathTest : public ::testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(EndingDeathTest, ModelsAtexitHandlersRunAndTheirOutputIsFlushed) {
  EXPECT_EXIT(
      {
        Host(2).SayLastWordsEverywhere();
        std::exit(5);  // NOLINT(concurrency-mt-unsafe)
      },
      ExitedWithCode(5),
      AllOf(HasSubstr(kWordsOfOne), HasSubstr(std::string(kWordsOfOne) + kWordsOfOne)));
}

TEST_F(EndingDeathTest, ExitWhileCallsRunEndsWithItsCode) {
  EXPECT_EXIT(
      {
        Host host(2);
        host.SayLastWordsEverywhere();
        host.StartCalls("loop", 4);
        host.LeaveOpen();
        std::exit(6);  // NOLINT(concurrency-mt-unsafe)
      },
      ExitedWithCode(6), HasSubstr(kWordsOfOne));
}

TEST_F(EndingDeathTest, ExitWhileNativeCodeHangsDoesNotWaitForEver) {
  EXPECT_EXIT(
      {
        Host host(1);
        host.StartCalls("hold", 1);
        host.LeaveOpen();
        std::exit(7);  // NOLINT(concurrency-mt-unsafe)
      },
      ExitedWithCode(7), "");
}

TEST_F(EndingDeathTest, ExitWhileAnAsynchronousCallHangsDoesNotWaitForEver) {
  EXPECT_EXIT(
      {
        Host host(2);
        host.SayLastWordsEverywhere();
        host.StartAsyncCall("loop");
        host.LeaveOpen();
        std::exit(8);  // NOLINT(concurrency-mt-unsafe)
      },
      ExitedWithCode(8), HasSubstr(kWordsOfOne));
}

TEST_F(EndingDeathTest, ExitProcessWhileNativeCodeHangsDoesNotWaitForEver) {
  EXPECT_EXIT(
      {
        Host host(2);
        host.SayLastWordsEverywhere();
        host.StartCalls("hold", 1);
        ExitProcess(9);
      },
      ExitedWithCode(9), HasSubstr(kWordsOfOne));
}

TEST_F(EndingDeathTest, AChildThatTheHostForkedEndsAtOnce) {
  EXPECT_EXIT(
      {
        Host host(1);
        host.SayLastWordsEverywhere();
        host.LeaveOpen();
        const pid_t child = fork();
        if (child == 0) {
          alarm(5);
          std::exit(3);  // NOLINT(concurrency-mt-unsafe)
        }
        int status = 0;
        waitpid(child, &status, 0);
        _exit(status == W_EXITCODE(3, 0) ? 3 : 1);
      },
      ExitedWithCode(3), "");
}

}  // namespace
}  // namespace torchdeploy
