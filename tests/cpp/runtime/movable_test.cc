// Objects that move between interpreters.
#include <cstddef>
#include <memory>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "torchdeploy/interpreter_manager.h"
#include "torchdeploy/interpreter_session.h"
#include "torchdeploy/obj.h"
#include "torchdeploy/replicated_obj.h"
#include "torchdeploy/status.h"
#include "torchdeploy/tensor.h"
#include "torchdeploy/value.h"

#include "tests/cpp/runtime/fake_pool.h"

namespace torchdeploy {
namespace {

using ::testing::HasSubstr;

TEST(MovableTest, ObjectIsInEveryInterpreterOverTheSameMemory) {
  const auto manager = MakeManager(2);
  const Tensor tensor = MakeTensor({1, 2});
  Result<ReplicatedObj> movable = [&] {
    const Result<InterpreterSession> session = manager->AcquireSession(0);
    return session->CreateMovable(*session->FromValue(tensor));
  }();
  ASSERT_TRUE(movable.ok()) << movable.status().ToString();
  for (size_t slot = 0; slot < 2; ++slot) {
    const Result<InterpreterSession> session = manager->AcquireSession(slot);
    const Result<Obj> moved = session->FromMovable(*movable);
    ASSERT_TRUE(moved.ok()) << moved.status().ToString();
    EXPECT_EQ(moved->ToValue()->get<Tensor>()->data(), tensor.data());
  }
}

TEST(MovableTest, ObjectOfAnotherSessionIsRefused) {
  const auto manager = MakeManager(2);
  const Result<InterpreterSession> first = manager->AcquireSession(0);
  const Result<InterpreterSession> second = manager->AcquireSession(1);
  const Result<Obj> object = first->FromValue(1);
  const Result<ReplicatedObj> movable = second->CreateMovable(*object);
  EXPECT_EQ(movable.status().code(), Code::kFailedPrecondition);
  EXPECT_THAT(movable.status().message(), HasSubstr("lives in different session"));
}

TEST(MovableTest, ObjectOfAnotherManagerIsRefused) {
  const auto here = MakeManager(1);
  const auto there = MakeManager(1);
  const Result<InterpreterSession> session = here->AcquireSession();
  EXPECT_EQ(session->FromMovable(LoadModel(*there, "echo.pkl")).status().code(),
            Code::kFailedPrecondition);
}

TEST(MovableTest, ObjectThatIsDroppedLeavesNothingBehind) {
  const auto manager = MakeManager(1);
  {
    const Result<InterpreterSession> session = manager->AcquireSession();
    const Result<ReplicatedObj> movable =
        session->CreateMovable(*session->FromValue(MakeTensor({1})));
    ASSERT_TRUE(session->FromMovable(*movable).ok());
    EXPECT_GT(FakeNumber(*session, "live_tensors"), 0);
  }
  Eventually([&] { return FakeNumber(*manager->AcquireSession(), "live_tensors") == 0; });
}

}  // namespace
}  // namespace torchdeploy
