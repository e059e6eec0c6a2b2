// Objects of archives, and their methods.
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/deploy.h>

#include "tests/cpp/compat/shared_manager.h"

namespace torch::deploy {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

int64_t CallsIn(const ReplicatedObj& model, const Interpreter& interpreter) {
  const InterpreterSession session = model.acquireSession(&interpreter);
  return session.self.attr("calls_here")(at::ArrayRef<Obj>()).toIValue().toInt();
}

// One call in that very interpreter.
void CallIn(const ReplicatedObj& model, const Interpreter& interpreter) {
  const InterpreterSession session = model.acquireSession(&interpreter);
  session.self({at::ones({4})});
}

TEST(ReplicatedObjTest, IsCalledWithArgumentsAndKeywords) {
  const ReplicatedObj model = LoadScaler();
  const at::Tensor x = at::ones({4});
  EXPECT_TRUE(at::equal(model({x}).toTensor(), at::full({4}, 3.0)));
  EXPECT_TRUE(at::equal(model.callKwargs({x}, {{"bias", 1.0}}).toTensor(), at::full({4}, 4.0)));
  EXPECT_TRUE(
      at::equal(model.callKwargs({{"x", x}, {"factor", 2.0}}).toTensor(), at::full({4}, 6.0)));
}

TEST(ReplicatedObjTest, IsCalledFromManyThreads) {
  const ReplicatedObj model = LoadScaler();
  std::vector<double> sums(8);
  std::vector<std::thread> threads;
  for (double& sum : sums) {
    threads.emplace_back([&sum, model] {
      for (int i = 0; i < 10; ++i) {
        sum += model({at::ones({4})}).toTensor().sum().item<double>();
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_THAT(sums, Each(120.0));
}

TEST(ReplicatedObjTest, KnowsItsAttributes) {
  const ReplicatedObj model = LoadScaler();
  EXPECT_TRUE(model.hasattr("weight"));
  EXPECT_FALSE(model.hasattr("height"));
}

TEST(ReplicatedObjTest, SessionIsOfTheInterpreterThatWasAskedFor) {
  const ReplicatedObj model = LoadScaler();
  for (const int64_t i : {1, 0}) {
    const Interpreter& interpreter = SharedManager().allInstances()[static_cast<size_t>(i)];
    EXPECT_EQ(InterpreterOf(model.acquireSession(&interpreter)), i);
  }
}

TEST(ReplicatedObjTest, IsMadeAgainWhereItWasUnloaded) {
  ReplicatedObj model = LoadScaler();
  const at::ArrayRef<Interpreter> interpreters = SharedManager().allInstances();
  CallIn(model, interpreters[0]);
  CallIn(model, interpreters[1]);
  model.unload(&interpreters[0]);
  EXPECT_EQ(CallsIn(model, interpreters[0]), 0);
  EXPECT_EQ(CallsIn(model, interpreters[1]), 1);
  model.unload();
  EXPECT_EQ(CallsIn(model, interpreters[1]), 0);
}

TEST(ReplicatedObjTest, ErrorHasTypeAndTraceback) {
  const ReplicatedObj model = LoadScaler();
  EXPECT_THAT(ErrorOf([&] { model({"no tensor", "at all"}); }),
              HasSubstr("Traceback (most recent call last)"));
}

TEST(ReplicatedObjTest, OfNothingIsAnError) {
  const ReplicatedObj none;
  EXPECT_THAT(ErrorOf([&] { none({1}); }), HasSubstr("empty"));
  EXPECT_THAT(ErrorOf([&] { (void)none.acquireSession(); }), HasSubstr("empty"));
}

TEST(PythonMethodWrapperTest, CallsItsMethod) {
  const PythonMethodWrapper forward(LoadScaler(), "forward");
  EXPECT_EQ(forward.name(), "forward");
  const torch::IMethod& method = forward;
  EXPECT_TRUE(at::equal(method({at::ones({4})}).toTensor(), at::full({4}, 3.0)));
  EXPECT_TRUE(
      at::equal(method({at::ones({4}), 2.0}, {{"bias", 1.0}}).toTensor(), at::full({4}, 7.0)));
}

TEST(PythonMethodWrapperTest, KnowsTheNamesOfItsArguments) {
  const PythonMethodWrapper forward(LoadScaler(), "forward");
  EXPECT_THAT(forward.getArgumentNames(), ElementsAre("x", "factor", "bias"));
}

}  // namespace
}  // namespace torch::deploy
