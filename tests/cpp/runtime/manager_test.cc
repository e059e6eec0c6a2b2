// Making, remaking and failing to make pools; engine libraries; the end of the process.
#include <sched.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "interpreter_lib/abi/interp_abi.h"
#include "runtime/src/core_pinning.h"
#include "runtime/src/engine_choice.h"
#include "runtime/src/pool_size.h"
#include "torchdeploy/interpreter_manager.h"
#include "torchdeploy/interpreter_session.h"
#include "torchdeploy/interpreter_usage.h"
#include "torchdeploy/options.h"
#include "torchdeploy/process_exit.h"
#include "torchdeploy/replicated_obj.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

#include "tests/cpp/runtime/fake_pool.h"

namespace torchdeploy {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// One that no interpreter in stock has, so that all must be made.
int UnusedThreadCount() {
  static int next = 100;
  return next++;
}

TEST(ManagerTest, EachSlotIsAnInterpreterOfItsOwn) {
  const auto manager = MakeManager(3);
  EXPECT_EQ(manager->size(), 3U);
  const ReplicatedObj slot_of = LoadModel(*manager, "slot.pkl");
  for (size_t slot = 0; slot < 3; ++slot) {
    const Result<InterpreterSession> session = slot_of.AcquireSession(slot);
    ASSERT_TRUE(session.ok());
    EXPECT_EQ(session->slot(), slot);
    EXPECT_EQ(IntegerOf(*session->self().Call({})->ToValue()), static_cast<int64_t>(slot));
  }
}

TEST(ManagerTest, AnInterpreterIsBusyWhileItIsHeld) {
  constexpr std::chrono::milliseconds kHeld{5};
  const auto manager = MakeManager(2);
  {
    const Result<InterpreterSession> outer = manager->AcquireSession(0);
    const Result<InterpreterSession> inner = manager->AcquireSession(0);
    ASSERT_TRUE(outer.ok() && inner.ok());
    std::this_thread::sleep_for(kHeld);
    EXPECT_GE(manager->Usage().at(0).busy, kHeld);
    EXPECT_EQ(manager->Usage().at(1).busy, std::chrono::nanoseconds(0));
  }
  const std::chrono::nanoseconds once_free = manager->Usage().at(0).busy;
  EXPECT_GE(once_free, kHeld);
  std::this_thread::sleep_for(kHeld);
  EXPECT_EQ(manager->Usage().at(0).busy, once_free);
}

TEST(ManagerTest, TheUsageOfEachInterpreterIsItsEngines) {
  const auto manager = MakeManager(2);
  const std::vector<InterpreterUsage> usage = manager->Usage();
  ASSERT_EQ(usage.size(), 2);
  std::set<uint64_t> python_bytes;
  for (const InterpreterUsage& each : usage) {
    // The fake engine's figures.
    const uint64_t slot = each.python_bytes - 2000;
    EXPECT_EQ(each.lock_waits.total, std::chrono::nanoseconds(1000 + slot));
    EXPECT_THAT(each.lock_waits.by_bound, ElementsAre(slot, 1, 0, 0, 0, 0, 0, 7));
    python_bytes.insert(each.python_bytes);
  }
  EXPECT_EQ(python_bytes.size(), 2);
}

TEST(ManagerTest, ManagerMadeAgainGetsTheSameInterpreters) {
  MakeManager(3).reset();
  const int64_t created = FakeNumberElsewhere("created");
  for (int i = 0; i < 5; ++i) {
    MakeManager(3).reset();
    MakeManager(2).reset();
  }
  EXPECT_EQ(FakeNumberElsewhere("created"), created);
}

TEST(ManagerTest, ManagersAtTheSameTimeShareNoInterpreter) {
  const auto one = MakeManager(2);
  const auto two = MakeManager(2);
  const Result<InterpreterSession> of_one = one->AcquireSession(0);
  const Result<InterpreterSession> of_two = two->AcquireSession(0);
  ASSERT_TRUE(of_one.ok() && of_two.ok());
  const Result<Obj> kept = of_one->FromValue(1);
  ASSERT_TRUE(kept.ok());
  const int64_t before = FakeNumber(*of_two, "live_objects");
  const Result<Obj> more = of_one->FromValue(1);
  ASSERT_TRUE(more.ok());
  EXPECT_EQ(FakeNumber(*of_two, "live_objects"), before);
}

TEST(ManagerTest, OtherThreadCountMakesAnotherInterpreter) {
  Options options = FakeOptions(1);
  options.intra_op_threads = UnusedThreadCount();
  const int64_t created = FakeNumberElsewhere("created");
  ASSERT_TRUE(InterpreterManager::Create(options).ok());
  EXPECT_EQ(FakeNumberElsewhere("created"), created + 1);
}

TEST(ManagerTest, FailedInterpreterLeavesNoHalfMadePoolAndIsReplacedByTheNextTry) {
  Options options = FakeOptions(4);
  options.intra_op_threads = UnusedThreadCount();
  {
    const auto manager = MakeManager(1);
    CallFake(*manager->AcquireSession(), "fail_create", {2});
  }
  const int64_t created = FakeNumberElsewhere("created");
  const Result<std::unique_ptr<InterpreterManager>> failed = InterpreterManager::Create(options);
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.status().code(), Code::kInternal);
  EXPECT_EQ(failed.status().message(), "create() was told to fail");
  EXPECT_EQ(FakeNumberElsewhere("created"), created + 3);
  const Result<std::unique_ptr<InterpreterManager>> again = InterpreterManager::Create(options);
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_EQ(FakeNumberElsewhere("created"), created + 4);  // The other three came from stock.
}

TEST(ManagerTest, ManagersAreMadeAndUsedFromManyThreads) {
  std::vector<std::future<void>> users;
  for (int i = 0; i < 8; ++i) {
    users.push_back(std::async(std::launch::async, [i] {
      const auto manager = MakeManager(2);
      const Result<Value> value = LoadModel(*manager, "echo.pkl").Call({i});
      ASSERT_TRUE(value.ok());
      EXPECT_EQ(IntegerOf(*value), i);
    }));
  }
  for (std::future<void>& user : users) {
    user.get();
  }
}

TEST(ManagerTest, CloseIsAcceptedTwice) {
  const auto manager = MakeManager(1);
  manager->Close();
  manager->Close();
  EXPECT_EQ(manager->AcquireSession().status().code(), Code::kUnavailable);
}

TEST(ManagerTest, NumbersOutOfRangeAreNamed) {
  Options options = FakeOptions(-1);
  EXPECT_THAT(InterpreterManager::Create(options).status().message(),
              HasSubstr("Options.interpreters is -1"));
  options = FakeOptions(1025);
  EXPECT_EQ(InterpreterManager::Create(options).status().code(), Code::kInvalidArgument);
  options = FakeOptions(1);
  options.intra_op_threads = -4;
  EXPECT_THAT(InterpreterManager::Create(options).status().message(),
              HasSubstr("Options.intra_op_threads is -4"));
}

Options Sized(int interpreters, int intra_op_threads) {
  Options options;
  options.interpreters = interpreters;
  options.intra_op_threads = intra_op_threads;
  return options;
}

TEST(PoolSizeTest, ZeroMeansOnePerUsableCoreAndTheCoresDividedAmongThem) {
  cpu_set_t before;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  const int cores = CPU_COUNT(&before);
  EXPECT_EQ(UsableCores().size(), static_cast<size_t>(cores));
  EXPECT_EQ(ResolvePoolSize(Sized(0, 0))->interpreters, static_cast<size_t>(cores));
  EXPECT_EQ(ResolvePoolSize(Sized(0, 0))->intra_op_threads, 1);
  EXPECT_EQ(ResolvePoolSize(Sized(1, 0))->intra_op_threads, cores);
  EXPECT_EQ(ResolvePoolSize(Sized(1000, 0))->intra_op_threads, 1);
  EXPECT_EQ(ResolvePoolSize(Sized(2, 3))->intra_op_threads, 3);
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  EXPECT_EQ(UsableCores(), std::vector<int>{sched_getcpu()});
  ASSERT_EQ(sched_setaffinity(0, sizeof before, &before), 0);
}

TEST(PoolSizeTest, PinnedInterpretersRunOnTheirShareOfTheCoresAndCallersWhereTheyLike) {
  Options options = FakeOptions(3);
  options.intra_op_threads = 1;
  options.pin_cores = true;
  const auto manager = *InterpreterManager::Create(options);
  const std::vector<int> cores = UsableCores();
  const ReplicatedObj slot_of = LoadModel(*manager, "slot.pkl");
  for (int i = 0; i < 30; ++i) {
    std::promise<std::vector<int>> ran_on;
    int64_t slot = -1;
    slot_of.CallAsync({}, {}, [&](const Result<Value>& result) {
      slot = IntegerOf(*result);
      ran_on.set_value(UsableCores());
    });
    const std::vector<int> pinned = ran_on.get_future().get();
    EXPECT_EQ(pinned, std::vector<int>{cores[static_cast<size_t>(slot) % cores.size()]});
  }
  EXPECT_TRUE(slot_of.Call({}).ok());
  EXPECT_EQ(UsableCores(), cores);
}

Status LoadEngine(const std::string& path) {
  Options options;
  options.engine_library = path;
  return MakeEngineLoader(options, EngineKind::kPython).status();
}

TEST(EngineLoaderTest, MissingLibraryIsNotFound) {
  const Status status = LoadEngine("/nowhere/engine.so");
  EXPECT_EQ(status.code(), Code::kNotFound);
  EXPECT_THAT(status.message(), HasSubstr("/nowhere/engine.so"));
}

TEST(EngineLoaderTest, FileThatIsNoLibraryIsRefused) {
  const Status status = LoadEngine("/etc/passwd");
  EXPECT_EQ(status.code(), Code::kFailedPrecondition);
  EXPECT_THAT(status.message(), HasSubstr("cannot be loaded"));
}

TEST(EngineLoaderTest, LibraryWithoutTheSymbolIsRefused) {
  const Status status = LoadEngine(TD_ENGINE_WITHOUT_SYMBOL);
  EXPECT_EQ(status.code(), Code::kFailedPrecondition);
  EXPECT_THAT(status.message(), HasSubstr("exports no td_engine_get_api"));
}

TEST(EngineLoaderTest, EngineOfAnotherMajorVersionIsRefusedAndBothVersionsAreNamed) {
  const Status status = LoadEngine(TD_ENGINE_OF_OTHER_MAJOR);
  EXPECT_EQ(status.code(), Code::kFailedPrecondition);
  const auto major = [](unsigned number) { return std::to_string(number) + "."; };
  EXPECT_THAT(status.message(),
              HasSubstr("speaks version " + major(TD_ABI_MAJOR + 1) + "7 of the waist, this host " +
                        major(TD_ABI_MAJOR) + std::to_string(TD_ABI_MINOR)));
  EXPECT_THAT(status.message(), HasSubstr("install the same version"));
}

TEST(EngineLoaderTest, EngineThatFillsInNothingIsRefused) {
  const Status status = LoadEngine(TD_ENGINE_WITHOUT_FUNCTIONS);
  EXPECT_EQ(status.code(), Code::kFailedPrecondition);
  EXPECT_THAT(status.message(), HasSubstr("lacks functions"));
}

TEST(EngineLoaderTest, PathsToOneLibraryHaveOneIdentity) {
  Options options;
  options.engine_library = TD_FAKE_ENGINE;
  const auto direct = MakeEngineLoader(options, EngineKind::kPython);
  const std::string path = TD_FAKE_ENGINE;
  options.engine_library = path.substr(0, path.rfind('/')) + "/./" + path.substr(path.rfind('/'));
  const auto roundabout = MakeEngineLoader(options, EngineKind::kPython);
  ASSERT_TRUE(direct.ok() && roundabout.ok());
  EXPECT_EQ((*direct)->identity(), (*roundabout)->identity());
  EXPECT_EQ((*direct)->python(), "");
}

[[noreturn]] void EndProcess() {
  static char buffer[4096];  // What the engines write is seen only if the end flushes it.
  EXPECT_EQ(std::setvbuf(stderr, buffer, _IOFBF, sizeof buffer), 0);
  {
    const auto manager = MakeManager(3);
    EXPECT_TRUE(LoadModel(*manager, "echo.pkl").LoadEverywhere().ok());
  }
  ExitProcess(7);
}

TEST(ProcessExitDeathTest, ExitProcessStopsEachInterpreterFlushesAndEndsWithTheCode) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(EndProcess(), ::testing::ExitedWithCode(7),
              AllOf(HasSubstr("interpreter 0 stopped"), HasSubstr("interpreter 1 stopped"),
                    HasSubstr("interpreter 2 stopped")));
}

TEST(ProcessExitDeathTest, PlainExitIsSafeWhileInterpretersAreIdle) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        MakeManager(3).reset();
        std::exit(5);  // NOLINT(concurrency-mt-unsafe)
      },
      ::testing::ExitedWithCode(5), "");
}

}  // namespace
}  // namespace torchdeploy
