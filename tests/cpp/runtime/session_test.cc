// Sessions and objects: nesting, ownership and misuse.
#include <cstddef>
#include <cstdint>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "torchdeploy/interpreter_manager.h"
#include "torchdeploy/interpreter_session.h"
#include "torchdeploy/obj.h"
#include "torchdeploy/replicated_obj.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

#include "tests/cpp/runtime/fake_pool.h"

namespace torchdeploy {
namespace {

using ::testing::HasSubstr;

// A session that must begin.
InterpreterSession Begin(const InterpreterManager& manager, std::optional<size_t> slot = {}) {
  Result<InterpreterSession> session = manager.AcquireSession(slot);
  EXPECT_TRUE(session.ok()) << session.status().ToString();
  return *std::move(session);
}

Value Answer() {
  return Value(Dict{{Value("answer"), Value(42)}});
}

TEST(SessionTest, SlotThatIsNotThereIsAnInvalidArgumentThatNamesIt) {
  const auto manager = MakeManager(2);
  const Result<InterpreterSession> session = manager->AcquireSession(2);
  EXPECT_EQ(session.status().code(), Code::kInvalidArgument);
  EXPECT_THAT(session.status().message(), HasSubstr("no slot 2; expected 0 to 1"));
  EXPECT_EQ(LoadModel(*manager, "echo.pkl").AcquireSession(7).status().code(),
            Code::kInvalidArgument);
}

TEST(SessionTest, SelfIsTheReplicaTheImporterOrNothing) {
  const auto manager = MakeManager(1);
  {
    const Result<InterpreterSession> replica = LoadModel(*manager, "echo.pkl").AcquireSession();
    ASSERT_TRUE(replica.ok());
    EXPECT_EQ(IntegerOf(*replica->self().Call({3})->ToValue()), 3);
    EXPECT_TRUE(replica->Owns(replica->self()));
  }
  {
    const Result<InterpreterSession> importer = LoadArchive(*manager).AcquireSession();
    ASSERT_TRUE(importer.ok());
    EXPECT_EQ(importer->self().ToValue().status().code(), Code::kInvalidArgument);
  }
  const InterpreterSession plain = Begin(*manager);
  EXPECT_EQ(plain.self().ToValue().status().code(), Code::kFailedPrecondition);
}

TEST(SessionTest, GlobalAttributeAndValuesWorkWithinASession) {
  const auto manager = MakeManager(1);
  const InterpreterSession session = Begin(*manager);
  const Result<Obj> dict = session.FromValue(Answer());
  ASSERT_TRUE(dict.ok());
  EXPECT_TRUE(*dict->HasAttribute("answer"));
  EXPECT_FALSE(*dict->HasAttribute("question"));
  const Result<Obj> answer = dict->Attribute("answer");
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(IntegerOf(*answer->ToValue()), 42);
  EXPECT_EQ(dict->Attribute("question").status().type(), "AttributeError");
  EXPECT_EQ(session.Global("nowhere", "x").status().type(), "ModuleNotFoundError");
  const Result<Obj> identity = session.Global("fake", "identity");
  ASSERT_TRUE(identity.ok());
  const Result<Obj> same = identity->CallObjects({*answer});
  ASSERT_TRUE(same.ok()) << same.status().ToString();
  EXPECT_EQ(IntegerOf(*same->ToValue()), 42);
}

TEST(SessionTest, SessionsOfOneInterpreterNestAndEndInAnyOrder) {
  const auto manager = MakeManager(1);
  std::optional<InterpreterSession> outer = Begin(*manager);
  const ReplicatedObj echo = LoadModel(*manager, "echo.pkl");
  Result<InterpreterSession> inner = echo.AcquireSession(outer->slot());
  ASSERT_TRUE(inner.ok()) << inner.status().ToString();
  outer.reset();
  EXPECT_EQ(IntegerOf(*inner->self().Call({1})->ToValue()), 1);
  std::future<bool> other =
      std::async(std::launch::async, [&] { return manager->AcquireSession(0).ok(); });
  EXPECT_EQ(other.wait_for(std::chrono::milliseconds(20)), std::future_status::timeout);
  {
    const InterpreterSession ended = *std::move(inner);
  }
  EXPECT_TRUE(other.get());
}

TEST(SessionTest, ObjectIsNotUsableOnceItsSessionHasEndedThoughAnotherLives) {
  const auto manager = MakeManager(1);
  const InterpreterSession outer = Begin(*manager);
  Obj object;
  {
    const InterpreterSession inner = Begin(*manager, 0);
    object = *inner.FromValue(Answer());
    EXPECT_TRUE(inner.Owns(object));
    EXPECT_FALSE(outer.Owns(object));
    EXPECT_TRUE(object.ToValue().ok());
  }
  EXPECT_EQ(object.ToValue().status().code(), Code::kFailedPrecondition);
  EXPECT_EQ(object.Call({}).status().code(), Code::kFailedPrecondition);
  EXPECT_EQ(object.Attribute("answer").status().code(), Code::kFailedPrecondition);
  EXPECT_EQ(object.HasAttribute("answer").status().code(), Code::kFailedPrecondition);
  EXPECT_EQ(object.CallObjects({}).status().code(), Code::kFailedPrecondition);
  const Result<Obj> identity = outer.Global("fake", "identity");
  EXPECT_EQ(identity->CallObjects({object}).status().code(), Code::kFailedPrecondition);
}

TEST(SessionTest, SessionAndObjectsAreRefusedOnAnotherThread) {
  const auto manager = MakeManager(1);
  const InterpreterSession session = Begin(*manager);
  const Obj object = *session.FromValue(Answer());
  std::thread([&] {
    EXPECT_EQ(object.ToValue().status().code(), Code::kFailedPrecondition);
    EXPECT_EQ(session.FromValue(1).status().code(), Code::kFailedPrecondition);
    EXPECT_EQ(session.Global("fake", "created").status().code(), Code::kFailedPrecondition);
  }).join();
  EXPECT_TRUE(object.ToValue().ok());
}

TEST(SessionTest, ObjectOfAnotherInterpreterIsRefusedAsAnArgument) {
  const auto manager = MakeManager(2);
  const InterpreterSession zero = Begin(*manager, 0);
  const InterpreterSession one = Begin(*manager, 1);
  const Obj foreign = *zero.FromValue(1);
  const Result<Obj> result = one.Global("fake", "identity")->CallObjects({foreign});
  EXPECT_EQ(result.status().code(), Code::kFailedPrecondition);
  EXPECT_THAT(result.status().message(), HasSubstr("Argument 0"));
}

TEST(SessionTest, EmptyObjectIsRefused) {
  EXPECT_EQ(Obj().ToValue().status().code(), Code::kFailedPrecondition);
}

TEST(SessionTest, ObjectMayBeDroppedOnAnotherThreadAndAfterTheManager) {
  auto manager = MakeManager(1);
  Obj dropped_elsewhere;
  Obj dropped_late;
  {
    const InterpreterSession session = Begin(*manager);
    dropped_elsewhere = *session.FromValue(Answer());
    dropped_late = *session.FromValue(Answer());
  }
  std::thread([object = std::move(dropped_elsewhere)]() mutable { object = Obj(); }).join();
  const int64_t with_one = FakeNumber(Begin(*manager), "live_objects");
  manager.reset();
  EXPECT_EQ(dropped_late.ToValue().status().code(), Code::kFailedPrecondition);
  dropped_late = Obj();
  manager = MakeManager(1);  // The same interpreter, from the stock.
  EXPECT_EQ(FakeNumber(Begin(*manager), "live_objects"), with_one - 1);
}

TEST(SessionTest, PackageMayOutliveItsManager) {
  auto manager = MakeManager(1);
  const ReplicatedObj echo = LoadModel(*manager, "echo.pkl");
  ASSERT_TRUE(echo.Call({1}).ok());
  manager.reset();
  EXPECT_EQ(echo.Call({1}).status().code(), Code::kUnavailable);
}

TEST(SessionTest, AssignedSessionEndsTheOneBefore) {
  const auto manager = MakeManager(2);
  InterpreterSession session = Begin(*manager, 0);
  const Obj object = *session.FromValue(1);
  session = Begin(*manager, 1);
  EXPECT_EQ(session.slot(), 1U);
  EXPECT_EQ(object.ToValue().status().code(), Code::kFailedPrecondition);
  std::thread([&] { EXPECT_TRUE(manager->AcquireSession(0).ok()); }).join();
}

TEST(SessionTest, DroppedObjectsAreCollectedThoughNobodyEnters) {
  const auto manager = MakeManager(2);  // The fake counts for all: watch from the other.
  const InterpreterSession watch = Begin(*manager, 1);
  const int64_t before = FakeNumber(watch, "collects");
  {
    const InterpreterSession session = Begin(*manager, 0);
    const Obj object = *session.FromValue(Answer());
  }
  Eventually([&] { return FakeNumber(watch, "collects") > before; });
}

}  // namespace
}  // namespace torchdeploy
