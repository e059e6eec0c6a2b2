// Sessions, and the objects in them.
#include <cstdint>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/deploy.h>

#include "tests/cpp/compat/shared_manager.h"

namespace torch::deploy {
namespace {

using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

int64_t IdOf(const InterpreterSession& session, const Obj& obj) {
  return session.global("builtins", "id")(obj).toIValue().toInt();
}

TEST(SessionTest, TakesEachInterpreterThatIsFree) {
  const InterpreterSession first = SharedManager().acquireOne();
  const InterpreterSession second = SharedManager().acquireOne();
  EXPECT_THAT((std::vector{InterpreterOf(first), InterpreterOf(second)}),
              UnorderedElementsAre(0, 1));
}

TEST(SessionTest, NestsForOneInterpreter) {
  const Interpreter& interpreter = SharedManager().allInstances()[1];
  const InterpreterSession outer = interpreter.acquireSession();
  {
    const InterpreterSession inner = interpreter.acquireSession();
    EXPECT_EQ(InterpreterOf(inner), 1);
  }
  EXPECT_EQ(InterpreterOf(outer), 1);
}

TEST(SessionTest, NestsOnAThreadThatHoldsEveryInterpreter) {
  Package package = LoadTestPackage();
  ReplicatedObj model = package.loadPickle("model", "model.pkl");
  const InterpreterSession first = SharedManager().acquireOne();
  const InterpreterSession second = SharedManager().acquireOne();
  EXPECT_EQ(InterpreterOf(SharedManager().acquireOne()), InterpreterOf(second));
  EXPECT_TRUE(at::equal(model({at::ones({4})}).toTensor(), at::full({4}, 3.0)));
  EXPECT_TRUE(model.hasattr("weight"));
  EXPECT_EQ(package.loadText("notes", "greeting.txt"), "grüß dich");
  model.unload();
}

TEST(SessionTest, IsUsedOnItsOwnThreadOnly) {
  const InterpreterSession session = SharedManager().acquireOne();
  std::string error;
  std::thread([&] { error = ErrorOf([&] { session.global("builtins", "print"); }); }).join();
  EXPECT_THAT(error, HasSubstr("only on the thread"));
}

TEST(SessionTest, ThatWasMovedFromIsAnError) {
  InterpreterSession session = SharedManager().acquireOne();
  const InterpreterSession other = std::move(session);
  EXPECT_NE(InterpreterOf(other), -1);
  EXPECT_THAT(ErrorOf([&] {
                session.fromIValue(1);  // NOLINT(bugprone-use-after-move): the subject.
              }),
              HasSubstr("moved"));
}

TEST(ObjTest, IsCalledWithObjectsValuesAndKeywords) {
  const InterpreterSession session = SharedManager().acquireOne();
  const Obj list = Eval(session, "[3, 1, 2]");
  const Obj sorted = session.global("builtins", "sorted");
  EXPECT_EQ(Repr(session, sorted(list)), "[1, 2, 3]");
  EXPECT_EQ(Repr(session, sorted({c10::List<int64_t>({2, 1})})), "[1, 2]");
  const Obj reversed = sorted.callKwargs({c10::List<int64_t>({1, 2})}, {{"reverse", true}});
  EXPECT_EQ(Repr(session, reversed), "[2, 1]");
  const Obj dict = session.global("builtins", "dict");
  EXPECT_EQ(Repr(session, dict.callKwargs({{"a", 1}})), "{'a': 1}");
}

TEST(ObjTest, HasAttributes) {
  const InterpreterSession session = SharedManager().acquireOne();
  const Obj list = Eval(session, "[3]");
  EXPECT_TRUE(list.hasattr("append"));
  EXPECT_FALSE(list.hasattr("apend"));
  list.attr("append")({4});
  EXPECT_EQ(Repr(session, list), "[3, 4]");
  EXPECT_THAT(ErrorOf([&] { list.attr("apend"); }), HasSubstr("AttributeError"));
}

TEST(ObjTest, ErrorHasTypeMessageAndTraceback) {
  InterpreterSession session = LoadScaler().acquireSession();
  const std::string error = ErrorOf([&] { session.self.attr("refuse")(at::ArrayRef<Obj>()); });
  EXPECT_THAT(error, HasSubstr("ValueError: not today"));
  EXPECT_THAT(error, HasSubstr("Traceback (most recent call last)"));
  EXPECT_THAT(error, HasSubstr("packaged_model.py"));
}

TEST(ObjTest, ThatOutlivesItsSessionIsAnError) {
  const Obj object = [] { return SharedManager().acquireOne().fromIValue(1); }();
  EXPECT_THAT(ErrorOf([&] { (void)object.toIValue(); }), HasSubstr("has ended"));
  EXPECT_THAT(ErrorOf([&] { object.attr("real"); }), HasSubstr("has ended"));
}

TEST(ObjTest, OfAnotherInterpreterIsAnError) {
  const InterpreterSession first = SharedManager().acquireOne();
  const InterpreterSession second = SharedManager().acquireOne();
  const Obj there = second.fromIValue(1);
  EXPECT_THAT(ErrorOf([&] { first.global("builtins", "repr")(there); }),
              HasSubstr("another interpreter"));
}

TEST(ObjTest, OfNothingIsAnError) {
  EXPECT_THAT(ErrorOf([] { (void)Obj().toIValue(); }), HasSubstr("empty"));
}

TEST(ObjTest, BelongsToTheSessionThatGaveIt) {
  const InterpreterSession first = SharedManager().acquireOne();
  const InterpreterSession second = SharedManager().acquireOne();
  const Obj object = first.fromIValue(1);
  EXPECT_TRUE(first.isOwner(object));
  EXPECT_FALSE(second.isOwner(object));
  EXPECT_FALSE(first.isOwner(Obj()));
}

TEST(MovableTest, IsTheSameObjectEachTimeInOneInterpreter) {
  InterpreterSession first = SharedManager().acquireOne();
  const ReplicatedObj movable =
      SharedManager().createMovable(first.global("torch.nn", "Linear")({4, 2}), &first);
  InterpreterSession second = SharedManager().acquireOne();
  EXPECT_EQ(IdOf(second, second.fromMovable(movable)), IdOf(second, movable.toObj(&second)));
}

TEST(MovableTest, SharesTheMemoryOfItsTensors) {
  InterpreterSession first = SharedManager().acquireOne();
  const Obj linear = first.global("torch.nn", "Linear")({4, 2});
  const ReplicatedObj movable = first.createMovable(linear);
  const InterpreterSession second = SharedManager().acquireOne();
  const Obj moved = second.fromMovable(movable);
  EXPECT_NE(InterpreterOf(first), InterpreterOf(second));
  EXPECT_EQ(moved.attr("weight").toIValue().toTensor().data_ptr(),
            linear.attr("weight").toIValue().toTensor().data_ptr());
}

TEST(MovableTest, OfAnObjectOfAnotherSessionIsAnError) {
  const InterpreterSession first = SharedManager().acquireOne();
  InterpreterSession second = SharedManager().acquireOne();
  EXPECT_THAT(ErrorOf([&] { SharedManager().createMovable(first.fromIValue(1), &second); }),
              HasSubstr("Cannot create movable from an object that lives in different session"));
}

TEST(MovableTest, FindsTheClassesOfThePackageItComesFrom) {
  Package package = LoadTestPackage();
  const ReplicatedObj movable = [&] {
    InterpreterSession session = package.acquireSession();
    return package.createMovable(session.self.attr("load_pickle")({"model", "model.pkl"}),
                                 &session);
  }();
  for (const Interpreter& interpreter : SharedManager().allInstances()) {
    const InterpreterSession session = movable.acquireSession(&interpreter);
    EXPECT_TRUE(at::equal(session.self({at::ones({4})}).toIValue().toTensor(), at::full({4}, 3.0)));
  }
}

}  // namespace
}  // namespace torch::deploy
