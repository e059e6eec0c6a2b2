// Pools that grow, shrink and are limited while they work; modules that the host gives; what a
// manager leaves behind.
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "torchdeploy/interpreter_manager.h"
#include "torchdeploy/interpreter_session.h"
#include "torchdeploy/replicated_obj.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

#include "tests/cpp/runtime/fake_pool.h"

namespace torchdeploy {
namespace {

std::optional<std::string> SourceOf(const InterpreterManager& manager, size_t slot,
                                    const std::string& module) {
  const Result<InterpreterSession> session = manager.AcquireSession(slot);
  const Result<Obj> source = session->Global(module, "source");
  return source.ok() ? std::optional(*source->ToValue()->get<std::string>()) : std::nullopt;
}

TEST(ResizeTest, AddedInterpretersWorkAndRemovedOnesAreGone) {
  const auto manager = MakeManager(1);
  const ReplicatedObj slot_of = LoadModel(*manager, "slot.pkl");
  ASSERT_TRUE(manager->Resize(3).ok());
  EXPECT_EQ(manager->size(), 3U);
  EXPECT_EQ(IntegerOf(*slot_of.AcquireSession(2)->self().Call({})->ToValue()), 2);
  ASSERT_TRUE(manager->Resize(2).ok());
  EXPECT_EQ(manager->size(), 2U);
  EXPECT_EQ(slot_of.AcquireSession(2).status().code(), Code::kInvalidArgument);
  ASSERT_TRUE(manager->Resize(3).ok());
  EXPECT_EQ(IntegerOf(*slot_of.AcquireSession(2)->self().Call({})->ToValue()), 2)
      << "The replica of the first time must not be used again.";
  EXPECT_EQ(manager->Resize(0).code(), Code::kInvalidArgument);
  EXPECT_EQ(manager->Resize(1025).code(), Code::kInvalidArgument);
}

TEST(ResizeTest, NoCallIsLostWhileThePoolGrowsAndShrinks) {
  const auto manager = MakeManager(2);
  const ReplicatedObj echo = LoadModel(*manager, "echo.pkl");
  std::atomic<bool> resizing = true;
  std::atomic<int> failed = 0;
  std::vector<std::jthread> callers;
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&, i] {
      while (resizing.load()) {
        failed += echo.Call({i}).ok() ? 0 : 1;
        const Result<InterpreterSession> last = manager->AcquireSession(1);
        failed += last.ok() || last.status().code() == Code::kInvalidArgument ? 0 : 1;
      }
    });
  }
  for (int i = 0; i < 100; ++i) {
    for (const size_t size : {4U, 1U, 3U, 2U}) {
      EXPECT_TRUE(manager->Resize(size).ok());
    }
  }
  resizing = false;
  callers.clear();
  EXPECT_EQ(failed, 0);
}

TEST(ResizeTest, ThreadWithASessionCannotShrinkThePool) {
  const auto manager = MakeManager(2);
  const Result<InterpreterSession> session = manager->AcquireSession(0);
  EXPECT_EQ(manager->Resize(1).code(), Code::kFailedPrecondition);
  EXPECT_TRUE(manager->Resize(3).ok());
}

TEST(ResizeTest, LimitedPoolUsesItsFirstInterpretersOnly) {
  const auto manager = MakeManager(3);
  const ReplicatedObj slot_of = LoadModel(*manager, "slot.pkl");
  ASSERT_TRUE(manager->LimitInterpreters(1).ok());
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(IntegerOf(*slot_of.Call({})), 0);
  }
  EXPECT_EQ(manager->AcquireSession(2)->slot(), 2U);
  EXPECT_EQ(manager->LimitInterpreters(0).code(), Code::kInvalidArgument);

  const Result<InterpreterSession> busy = manager->AcquireSession(0);
  std::atomic<int64_t> ran_in = -1;
  slot_of.CallAsync({}, {}, [&](const Result<Value>& slot) { ran_in = IntegerOf(*slot); });
  EXPECT_EQ(ran_in, -1);
  ASSERT_TRUE(manager->LimitInterpreters(3).ok());  // Now somebody is free for it.
  Eventually([&] { return ran_in > 0; });
}

TEST(ResizeTest, RegisteredModuleIsInEveryInterpreterAndInThoseThatComeLater) {
  const auto manager = MakeManager(2);
  ASSERT_TRUE(manager->RegisterModuleSource("greeting", "hello").ok());
  ASSERT_TRUE(manager->Resize(3).ok());
  for (size_t slot = 0; slot < 3; ++slot) {
    EXPECT_EQ(SourceOf(*manager, slot, "greeting"), "hello");
  }
}

TEST(ResizeTest, NextManagerFindsNeitherModulesNorObjects) {
  auto manager = MakeManager(1);
  ASSERT_TRUE(manager->RegisterModuleSource("greeting", "hello").ok());
  ReplicatedObj echo = LoadModel(*manager, "echo.pkl");
  ASSERT_TRUE(echo.Call({1}).ok());
  manager.reset();
  manager = MakeManager(1);
  EXPECT_EQ(SourceOf(*manager, 0, "greeting"), std::nullopt);
  EXPECT_EQ(FakeNumber(*manager->AcquireSession(), "live_objects"), 0);
  EXPECT_EQ(echo.Call({1}).status().code(), Code::kUnavailable);
}

TEST(ResizeTest, UnloadedObjectIsMadeAgainByTheNextCall) {
  const auto manager = MakeManager(2);
  const ReplicatedObj echo = LoadModel(*manager, "echo.pkl");
  ASSERT_TRUE(echo.LoadEverywhere().ok());
  const auto live_in = [&](size_t slot) {
    return FakeNumber(*manager->AcquireSession(slot), "live_objects");
  };
  const int64_t loaded = live_in(0);
  ASSERT_TRUE(echo.Unload(0).ok());
  EXPECT_EQ(live_in(0), loaded - 1);
  EXPECT_EQ(live_in(1), loaded);
  ASSERT_TRUE(echo.Unload().ok());
  EXPECT_EQ(live_in(1), loaded - 1);
  EXPECT_TRUE(echo.LoadEverywhere().ok());
  EXPECT_EQ(live_in(0), loaded);
  EXPECT_EQ(echo.Unload(2).code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace torchdeploy
