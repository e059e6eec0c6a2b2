// What the host does to an interpreter: gives it modules, moves its objects, ends its calls.
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "interpreter_lib/abi/interp_abi.h"

#include "tests/cpp/engine/engine_under_test.h"
#include "tests/cpp/engine/values.h"

namespace torchdeploy::testing {
namespace {

class HostControlTest : public ::testing::Test {
 protected:
  Failure Register(const char* name, const char* source) {
    td_error error{};
    return engine_.Take(engine_.api().register_module(engine_.engine(), name, source, &error),
                        &error);
  }
  Failure Pickle(td_object object, td_object importer, td_value* out) {
    td_error error{};
    return engine_.Take(engine_.api().pickle(engine_.engine(), object, importer, out, &error),
                        &error);
  }
  // Takes `pickled`.
  td_object Unpickle(td_object importer, td_value* pickled) {
    td_object object = 0;
    td_error error{};
    const td_code code =
        engine_.api().unpickle(engine_.engine(), importer, pickled, &object, &error);
    EXPECT_EQ(engine_.Take(code, &error).message, "");
    engine_.api().free_value(engine_.engine(), pickled);
    return object;
  }

  EngineUnderTest& engine_ = EngineUnderTest::Get();
};

TEST_F(HostControlTest, RegisteredModulesAreImported) {
  ASSERT_EQ(Register("given_shapes.round", "import math\narea = lambda r: math.pi * r * r\n").code,
            TD_OK);
  EXPECT_EQ(engine_.Value("__import__('given_shapes.round').round.area(0)").Show(), "0f");
  ASSERT_EQ(Register("given_shapes", "sides = 4\n").code, TD_OK);
  EXPECT_EQ(engine_.Value("hasattr(__import__('given_shapes'), 'sides')").Show(), "False")
      << "The package was imported before it was given.";
}

TEST_F(HostControlTest, ModuleThatDoesNotCompileIsRefused) {
  EXPECT_EQ(Register("given_broken", "def f(:\n").type, "SyntaxError");
  td_object out = 0;
  td_error error{};
  EXPECT_EQ(
      engine_
          .Take(engine_.api().global(engine_.engine(), "given_broken", "f", &out, &error), &error)
          .type,
      "ModuleNotFoundError");
}

TEST_F(HostControlTest, PickledObjectSharesItsTensors) {
  const td_object original = engine_.Define(R"(
import torch
base = torch.arange(6.0)
original = {"whole": base, "part": base[2:4], "size": torch.float16}
)",
                                            "original");
  td_value pickled{};
  ASSERT_EQ(Pickle(original, 0, &pickled).message, "");
  const td_object copy = Unpickle(0, &pickled);
  EXPECT_EQ(engine_
                .CallExpression("lambda old, new: (new['part'].add_(10), old['whole'].tolist(), "
                                "new['whole'].tolist(), new['size'] is old['size'])[1:]",
                                {Arena::Object(original), Arena::Object(copy)})
                .Show(),
            "([0f, 1f, 12f, 13f, 4f, 5f], [0f, 1f, 12f, 13f, 4f, 5f], True)");
}

TEST_F(HostControlTest, PickledObjectOfAnArchiveIsFoundInAnotherOpeningOfIt) {
  td_object first = 0;
  td_object second = 0;
  td_object model = 0;
  ASSERT_EQ(engine_.OpenPackage(ARCHIVE_FOLDER "plain.pt", &first).message, "");
  ASSERT_EQ(engine_.OpenPackage(ARCHIVE_FOLDER "plain.pt", &second).message, "");
  ASSERT_EQ(engine_.LoadPickle(first, "model", "model.pkl", &model).message, "");
  td_value pickled{};
  EXPECT_EQ(Pickle(model, 0, &pickled).type, "_pickle.PicklingError");
  ASSERT_EQ(Pickle(model, first, &pickled).message, "");
  const td_object moved = Unpickle(second, &pickled);
  EXPECT_EQ(engine_.Call(moved, {Arena::Int(21)}).Show(), "42");
  EXPECT_EQ(engine_
                .CallExpression("lambda a, b: a.__module__ == b.__module__",
                                {Arena::Object(model), Arena::Object(moved)})
                .Show(),
            "False");
}

TEST_F(HostControlTest, LoopWithoutEndIsInterruptedAndTheNextCallIsNot) {
  const td_object loop = engine_.Define("def loop():\n    while True:\n        pass\n", "loop");
  std::atomic<bool> ended = false;
  std::thread interrupting([&] {
    while (!ended.load()) {
      engine_.api().interrupt(engine_.engine());
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  const Outcome outcome = engine_.Call(loop);
  ended = true;
  interrupting.join();
  EXPECT_EQ(outcome.failure().code, TD_CANCELLED);
  EXPECT_EQ(outcome.failure().type, "torchdeploy_engine.errors.Interruption");
  engine_.api().interrupt(engine_.engine());  // Nothing runs.
  EXPECT_EQ(engine_.CallExpression("lambda: sum(i for i in range(1000))").Show(), "499500");
}

TEST_F(HostControlTest, InterruptionIsOfTheInterpretersOwnThreadOnly) {
  const td_object work = engine_.Eval("lambda: sum(i for i in range(300000))");
  std::string answer;
  std::thread other([&] { answer = engine_.Call(work).Show(); });
  for (int i = 0; i < 20; ++i) {
    engine_.api().interrupt(engine_.engine());
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  other.join();
  EXPECT_EQ(answer, "44999850000");
}

}  // namespace
}  // namespace torchdeploy::testing
