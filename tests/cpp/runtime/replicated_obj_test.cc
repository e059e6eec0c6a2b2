// Blocking and asynchronous calls over the interpreters of a pool.
#include "torchdeploy/replicated_obj.h"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "torchdeploy/interpreter_manager.h"
#include "torchdeploy/interpreter_session.h"
#include "torchdeploy/obj.h"
#include "torchdeploy/status.h"
#include "torchdeploy/tensor.h"
#include "torchdeploy/value.h"

#include "tests/cpp/runtime/fake_pool.h"

namespace torchdeploy {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// CallAsync as a future.
std::future<Result<Value>> CallLater(const ReplicatedObj& object, std::vector<Value> args = {}) {
  auto promise = std::make_shared<std::promise<Result<Value>>>();
  std::future<Result<Value>> future = promise->get_future();
  object.CallAsync(std::move(args), {},
                   [promise](Result<Value> result) { promise->set_value(std::move(result)); });
  return future;
}

TEST(ReplicatedObjTest, TensorsCrossWithoutACopyInBothDirections) {
  const auto manager = MakeManager(1);
  const Tensor x = MakeTensor({1, 2, 3});
  const Result<Value> y = LoadModel(*manager, "echo.pkl").Call({x});
  ASSERT_TRUE(y.ok()) << y.status().ToString();
  ASSERT_NE(y->get<Tensor>(), nullptr);
  EXPECT_EQ(y->get<Tensor>()->data(), x.data());
}

TEST(ReplicatedObjTest, KeywordArgumentsArriveByName) {
  const auto manager = MakeManager(1);
  const Result<Value> result =
      LoadModel(*manager, "double.pkl").Call({}, {{"x", MakeTensor({1.5, -2})}});
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  const auto* const dict = result->get<Dict>();
  ASSERT_NE(dict, nullptr);
  ASSERT_EQ(dict->size(), 1U);
  EXPECT_EQ(*dict->front().first.get<std::string>(), "y");
  EXPECT_THAT(ElementsOf(dict->front().second), ElementsAre(3, -4));
}

TEST(ReplicatedObjTest, ExceptionOfTheModelArrivesWithTypeMessageAndTraceback) {
  const auto manager = MakeManager(1);
  const Result<Value> result =
      LoadModel(*manager, "fail.pkl").Call({}, {{"message", "negative size"}});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().code(), Code::kUnknown);
  EXPECT_EQ(result.status().type(), "ValueError");
  EXPECT_EQ(result.status().message(), "negative size");
  EXPECT_THAT(result.status().traceback(), HasSubstr("fake.py"));
}

TEST(ReplicatedObjTest, MissingPickleIsTheErrorOfTheFirstCallAndOfTheNext) {
  const auto manager = MakeManager(1);
  const ReplicatedObj missing = LoadModel(*manager, "missing.pkl");
  EXPECT_EQ(missing.Call({}).status().code(), Code::kNotFound);
  EXPECT_EQ(missing.Call({}).status().code(), Code::kNotFound);
  EXPECT_EQ(missing.AcquireSession().status().code(), Code::kNotFound);
  EXPECT_EQ(missing.LoadEverywhere().code(), Code::kNotFound);
  EXPECT_TRUE(manager->AcquireSession().ok());  // Nothing is left held.
}

TEST(ReplicatedObjTest, FailedLoadIsTriedAgainByTheNextCall) {
  const auto manager = MakeManager(1);
  CallFake(*manager->AcquireSession(), "fail_next_load");
  const ReplicatedObj flaky = LoadModel(*manager, "flaky.pkl");
  EXPECT_EQ(flaky.Call({1}).status().type(), "UnpicklingError");
  const Result<Value> again = flaky.Call({1});
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_EQ(IntegerOf(*again), 1);
}

TEST(ReplicatedObjTest, EmptyTensorHandleIsRefusedAndTheOthersAreDropped) {
  const auto manager = MakeManager(1);
  auto owner = std::make_shared<int>(0);
  const std::weak_ptr<int> watched = owner;
  float data = 0;
  Tensor tensor = Tensor::View(&data, {kDLFloat, 32, 1}, {1}, std::move(owner));
  const Result<Value> result =
      LoadModel(*manager, "echo.pkl").Call({std::move(tensor), List{Value(Tensor())}});
  EXPECT_EQ(result.status().code(), Code::kInvalidArgument);
  EXPECT_TRUE(watched.expired());
}

TEST(ReplicatedObjTest, ArgumentsAreDroppedWhenTheCallHasFailed) {
  const auto manager = MakeManager(1);
  auto owner = std::make_shared<int>(0);
  const std::weak_ptr<int> watched = owner;
  float data = 0;
  EXPECT_FALSE(LoadModel(*manager, "fail.pkl")
                   .Call({Tensor::View(&data, {kDLFloat, 32, 1}, {1}, std::move(owner))})
                   .ok());
  EXPECT_TRUE(watched.expired());
}

TEST(ReplicatedObjTest, AliasedResultIsTheCallersOwnOnceCallReturns) {
  const auto manager = MakeManager(1);
  const ReplicatedObj alias = LoadModel(*manager, "alias.pkl");
  const Result<Value> first = alias.Call({});
  ASSERT_TRUE(first.ok()) << first.status().ToString();
  const std::vector<float> before = ElementsOf(*first);
  const Result<Value> second = alias.Call({});
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(ElementsOf(*first), before);
  EXPECT_NE(ElementsOf(*second), before);
}

TEST(ReplicatedObjTest, AliasedResultIsNotCopiedForACallback) {
  const auto manager = MakeManager(1);
  const ReplicatedObj alias = LoadModel(*manager, "alias.pkl");
  std::set<const void*> addresses;  // Guarded by the order of the calls.
  std::promise<void> done;
  const auto note = [&](const Result<Value>& result) {
    ASSERT_TRUE(result.ok());
    addresses.insert(result->get<Tensor>()->data());
  };
  alias.CallAsync({}, {}, note);
  alias.CallAsync({}, {}, [&](const Result<Value>& result) {
    note(result);
    done.set_value();
  });
  done.get_future().wait();
  EXPECT_EQ(addresses.size(), 1U);
}

TEST(ReplicatedObjTest, CallsRunSideBySideInAllInterpreters) {
  const auto manager = MakeManager(3);
  const ReplicatedObj hang = LoadModel(*manager, "hang.pkl");
  std::vector<std::future<Result<Value>>> calls;
  calls.push_back(CallLater(hang, {0}));
  for (int i = 1; i < 3; ++i) {
    calls.push_back(std::async(std::launch::async, [&hang, i] { return hang.Call({i}); }));
  }
  AwaitHanging(3);
  ReleaseHanging();
  for (int i = 0; i < 3; ++i) {
    const Result<Value> result = calls[static_cast<size_t>(i)].get();
    ASSERT_TRUE(result.ok());
    EXPECT_EQ(IntegerOf(*result), i);
  }
}

TEST(ReplicatedObjTest, CallFailsWhenThisThreadsSessionsHoldEveryInterpreter) {
  const auto manager = MakeManager(1);
  const ReplicatedObj echo = LoadModel(*manager, "echo.pkl");
  const Result<InterpreterSession> session = manager->AcquireSession();
  ASSERT_TRUE(session.ok());
  EXPECT_EQ(echo.Call({1}).status().code(), Code::kFailedPrecondition);
}

TEST(ReplicatedObjTest, LoadEverywhereMakesOneReplicaInEachInterpreter) {
  const auto manager = MakeManager(3);
  const ReplicatedObj echo = LoadModel(*manager, "echo.pkl");
  ASSERT_TRUE(echo.LoadEverywhere().ok());
  for (size_t slot = 0; slot < 3; ++slot) {
    const Result<InterpreterSession> session = manager->AcquireSession(slot);
    ASSERT_TRUE(session.ok());
    const int64_t live = FakeNumber(*session, "live_objects");
    EXPECT_GE(live, 2);  // The importer and the replica, besides what is not collected yet.
    ASSERT_TRUE(echo.AcquireSession(slot).ok());
    EXPECT_LE(FakeNumber(*session, "live_objects"), live);  // It was there already.
  }
}

TEST(ReplicatedObjTest, LoadEverywhereWorksWithinASession) {
  const auto manager = MakeManager(2);
  const ReplicatedObj echo = LoadModel(*manager, "echo.pkl");
  const Result<InterpreterSession> session = manager->AcquireSession(1);
  ASSERT_TRUE(session.ok());
  EXPECT_TRUE(echo.LoadEverywhere().ok());
}

TEST(ReplicatedObjTest, LastCopyReleasesTheReplicas) {
  const auto manager = MakeManager(1);
  const auto live = [&] { return FakeNumber(*manager->AcquireSession(), "live_objects"); };
  const int64_t before = live();
  {
    const ReplicatedObj echo = LoadModel(*manager, "echo.pkl");
    ASSERT_TRUE(echo.LoadEverywhere().ok());
    const ReplicatedObj copy = echo;  // NOLINT(performance-unnecessary-copy-initialization)
    EXPECT_EQ(live(), before + 2);
  }
  EXPECT_EQ(live(), before);
}

TEST(ReplicatedObjTest, CallbackMayMakeTheNextCall) {
  const auto manager = MakeManager(1);
  const ReplicatedObj count = LoadModel(*manager, "count.pkl");
  std::promise<int> finished;
  std::function<void(int)> call_again = [&](int left) {
    if (left == 0) {
      finished.set_value(left);
      return;
    }
    count.CallAsync({}, {}, [&, left](const Result<Value>& result) {
      EXPECT_TRUE(result.ok());
      call_again(left - 1);
    });
  };
  call_again(50);
  EXPECT_EQ(finished.get_future().get(), 0);
}

TEST(ReplicatedObjTest, CallbackRunsOnceBeforeTheInterpreterTakesItsNextCall) {
  const auto manager = MakeManager(1);
  const ReplicatedObj count = LoadModel(*manager, "count.pkl");
  std::vector<int64_t> counts;  // Guarded by the interpreter.
  std::atomic<int> running = 0;
  for (int i = 0; i < 50; ++i) {
    count.CallAsync({}, {}, [&](const Result<Value>& result) {
      EXPECT_EQ(running.fetch_add(1), 0);
      counts.push_back(IntegerOf(*result));
      running.fetch_sub(1);
    });
  }
  manager->Close();
  ASSERT_EQ(counts.size(), 50U);
  for (size_t i = 1; i < counts.size(); ++i) {
    EXPECT_EQ(counts[i], counts[i - 1] + 1);
  }
}

TEST(ReplicatedObjTest, RefusedCallAnswersOnTheCallersThreadWithUnavailable) {
  const auto manager = MakeManager(1);
  const ReplicatedObj echo = LoadModel(*manager, "echo.pkl");
  manager->Close();
  int calls = 0;
  echo.CallAsync({1}, {}, [&](const Result<Value>& result) {
    EXPECT_EQ(result.status().code(), Code::kUnavailable);
    ++calls;
  });
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(echo.Call({1}).status().code(), Code::kUnavailable);
  EXPECT_EQ(echo.AcquireSession().status().code(), Code::kUnavailable);
  EXPECT_EQ(echo.LoadEverywhere().code(), Code::kUnavailable);
}

TEST(ReplicatedObjTest, CloseUnderLoadLosesNoCallAndAnswersEachOnce) {
  constexpr int kThreads = 8;
  constexpr int kCalls = 100;
  const auto manager = MakeManager(4);
  const ReplicatedObj echo = LoadModel(*manager, "echo.pkl");
  std::vector<std::atomic<int>> answers(size_t{kThreads} * kCalls);
  std::atomic<int> started = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kCalls; ++i) {
        const int call = t * kCalls + i;
        ++started;
        echo.CallAsync({call}, {}, [&answers, call](const Result<Value>& result) {
          if (result.ok()) {
            EXPECT_EQ(IntegerOf(*result), call);
          } else {
            EXPECT_EQ(result.status().code(), Code::kUnavailable);
          }
          answers[static_cast<size_t>(call)].fetch_add(1);
        });
      }
    });
  }
  while (started < kThreads * kCalls / 4) {
    std::this_thread::yield();
  }
  manager->Close();
  for (std::thread& thread : threads) {
    thread.join();
  }
  for (const std::atomic<int>& answer : answers) {
    EXPECT_EQ(answer.load(), 1);
  }
}

TEST(ReplicatedObjTest, SixteenThreadsMixAllKindsOfCallsOverEightInterpreters) {
  constexpr int kThreads = 16;
  constexpr int kRounds = 40;
  const auto manager = MakeManager(8);
  const ReplicatedObj echo = LoadModel(*manager, "echo.pkl");
  const ReplicatedObj twice = LoadModel(*manager, "double.pkl");
  std::atomic<int> answered = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kRounds; ++i) {
        const int number = t * kRounds + i;
        echo.CallAsync({number}, {}, [&, number](const Result<Value>& result) {
          EXPECT_EQ(IntegerOf(*result), number);
          ++answered;
        });
        const auto x = static_cast<float>(number);
        const Result<Value> y = twice.Call({MakeTensor({x})});
        ASSERT_TRUE(y.ok());
        EXPECT_THAT(ElementsOf(y->get<Dict>()->front().second), ElementsAre(2 * x));
        const Result<InterpreterSession> session =
            echo.AcquireSession(static_cast<size_t>(number) % 8);
        ASSERT_TRUE(session.ok());
        const Result<Obj> object = session->self().Call({number});
        ASSERT_TRUE(object.ok());
        EXPECT_EQ(IntegerOf(*object->ToValue()), number);
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  manager->Close();
  EXPECT_EQ(answered, kThreads * kRounds);
}

TEST(ReplicatedObjTest, NoTensorIsLeftBehind) {
  {
    const auto manager = MakeManager(2);
    const ReplicatedObj echo = LoadModel(*manager, "echo.pkl");
    for (int i = 0; i < 20; ++i) {
      ASSERT_TRUE(echo.Call({List{Value(MakeTensor({1})), Value(MakeTensor({2}))}}).ok());
      CallLater(echo, {MakeTensor({3})}).wait();
    }
    manager->Close();
  }
  // Soon, for each interpreter drops its replica's archive by itself.
  Eventually([] { return FakeNumberElsewhere("live_tensors") == 0; });
}

TEST(ReplicatedObjDeathTest, CallbackThatThrowsAbortsWithItsMessage) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        const auto manager = MakeManager(1);
        LoadModel(*manager, "echo.pkl").CallAsync({1}, {}, [](const Result<Value>&) {
          throw std::runtime_error("from the callback");
        });
        manager->Close();
      },
      "callback of CallAsync threw: from the callback");
}

TEST(ReplicatedObjTest, CallIsMadeUpWhenItsInterpreterIsFree) {
  const auto manager = MakeManager(1);
  const ReplicatedObj echo = LoadModel(*manager, "echo.pkl");
  std::optional<InterpreterSession> busy = *manager->AcquireSession();
  std::atomic<bool> asked = false;
  std::promise<Result<Value>> answer;
  ASSERT_TRUE(echo.CallWhenFree([&](size_t /*slot*/) -> std::optional<ReplicatedObj::DueCall> {
                    asked = true;
                    return ReplicatedObj::DueCall{{"late"}, {}, [&](Result<Value> result) {
                                                    answer.set_value(std::move(result));
                                                  }};
                  })
                  .ok());
  EXPECT_FALSE(asked);
  busy.reset();
  EXPECT_EQ(*answer.get_future().get()->get<std::string>(), "late");
}

TEST(ReplicatedObjTest, InterpreterIsFreeForOthersWhenNoCallIsMadeUp) {
  const auto manager = MakeManager(1);
  const ReplicatedObj echo = LoadModel(*manager, "echo.pkl");
  std::promise<void> asked;
  ASSERT_TRUE(echo.CallWhenFree([&](size_t /*slot*/) -> std::optional<ReplicatedObj::DueCall> {
                    asked.set_value();
                    return std::nullopt;
                  })
                  .ok());
  asked.get_future().get();
  EXPECT_TRUE(echo.Call({1}).ok());
}

TEST(ReplicatedObjTest, CallThatIsMadeUpEndsAtItsDeadline) {
  const auto manager = MakeManager(1);
  std::promise<Code> code;
  ASSERT_TRUE(
      LoadModel(*manager, "loop.pkl")
          .CallWhenFree([&](size_t /*slot*/) -> std::optional<ReplicatedObj::DueCall> {
            return ReplicatedObj::DueCall{
                {},
                {},
                [&](const Result<Value>& result) { code.set_value(result.status().code()); },
                {.deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(20)}};
          })
          .ok());
  EXPECT_EQ(code.get_future().get(), Code::kDeadlineExceeded);
  EXPECT_TRUE(LoadModel(*manager, "echo.pkl").Call({1}).ok());
}

TEST(ReplicatedObjTest, CallIsMadeUpForTheSlotThatIsAskedFor) {
  const auto manager = MakeManager(3);
  const ReplicatedObj slot_of = LoadModel(*manager, "slot.pkl");
  for (const size_t slot : {2U, 0U, 1U}) {
    std::promise<Result<Value>> answer;
    const auto next = [&](size_t free) {
      EXPECT_EQ(free, slot);
      return ReplicatedObj::DueCall{
          {}, {}, [&](Result<Value> result) { answer.set_value(std::move(result)); }};
    };
    ASSERT_TRUE(slot_of.CallWhenFree(next, slot).ok());
    EXPECT_EQ(*answer.get_future().get()->get<int64_t>(), static_cast<int64_t>(slot));
  }
  const auto never = [](size_t /*slot*/) -> std::optional<ReplicatedObj::DueCall> {
    ADD_FAILURE() << "asked";
    return std::nullopt;
  };
  EXPECT_EQ(slot_of.CallWhenFree(never, 3).code(), Code::kInvalidArgument);
}

TEST(ReplicatedObjTest, MethodOfTheObjectCanBeCalledInItsPlace) {
  const auto manager = MakeManager(1);
  const ReplicatedObj items = LoadModel(*manager, "items.pkl");
  const auto call = [&](const std::string& method, Kwargs kwargs) {
    std::promise<Result<Value>> answer;
    const auto next = [&](size_t /*slot*/) {
      return ReplicatedObj::DueCall{
          .args = {7},
          .kwargs = std::move(kwargs),
          .done = [&](Result<Value> result) { answer.set_value(std::move(result)); },
          .method = method};
    };
    EXPECT_TRUE(items.CallWhenFree(next).ok());
    return answer.get_future().get();
  };
  EXPECT_TRUE(call("begin", {{"items", 2}})->is<Dict>());
  EXPECT_TRUE(call("advance", {})->is<Dict>());
  EXPECT_TRUE(call("advance", {})->is<None>());
  EXPECT_EQ(call("retreat", {}).status().type(), "AttributeError");
}

TEST(ReplicatedObjTest, ObjectsTakeTurnsHoweverManyCallsWaitForOne) {
  const auto manager = MakeManager(1);
  const ReplicatedObj flooded = LoadModel(*manager, "echo.pkl");
  const ReplicatedObj quiet = LoadModel(*manager, "echo.pkl");
  std::string order;  // Guarded by the interpreter.
  std::optional<InterpreterSession> busy = *manager->AcquireSession();
  const auto ask = [&](const ReplicatedObj& object, char name) {
    const Status status = object.CallWhenFree([&order, name](size_t /*slot*/) {
      order += name;
      return std::optional<ReplicatedObj::DueCall>();
    });
    EXPECT_TRUE(status.ok());
  };
  for (int i = 0; i < 4; ++i) {
    ask(flooded, 'f');
  }
  ask(quiet, 'q');
  ask(quiet, 'q');
  busy.reset();
  manager->Close();
  EXPECT_EQ(order, "fqfqff");
}

TEST(ReplicatedObjTest, NoCallIsAskedForOnceTheManagerIsClosed) {
  const auto manager = MakeManager(1);
  const ReplicatedObj echo = LoadModel(*manager, "echo.pkl");
  manager->Close();
  const Status status =
      echo.CallWhenFree([](size_t /*slot*/) -> std::optional<ReplicatedObj::DueCall> {
        ADD_FAILURE() << "asked";
        return std::nullopt;
      });
  EXPECT_EQ(status.code(), Code::kUnavailable);
}

}  // namespace
}  // namespace torchdeploy
