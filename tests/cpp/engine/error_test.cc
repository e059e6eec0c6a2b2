// How Python's exceptions and the engine's own refusals look outside.
#include <string>

#include <gtest/gtest.h>

#include "interpreter_lib/abi/interp_abi.h"

#include "tests/cpp/engine/engine_under_test.h"
#include "tests/cpp/engine/values.h"

namespace torchdeploy::testing {
namespace {

class ErrorTest : public ::testing::Test {
 protected:
  // What a call of a function with this body fails with.
  Failure Raise(const std::string& body, const std::string& definitions = "") {
    const td_object model =
        engine_.Define(definitions + "\ndef model():\n    " + body + "\n", "model");
    return engine_.Call(model).failure();
  }

  EngineUnderTest& engine_ = EngineUnderTest::Get();
  Arena arena_;
};

TEST_F(ErrorTest, ExceptionBringsTypeMessageAndTraceback) {
  const Failure failure = Raise("raise ValueError('n\u00e9gative size')");
  EXPECT_EQ(failure.code, TD_UNKNOWN);
  EXPECT_EQ(failure.type, "ValueError");
  EXPECT_EQ(failure.message, "n\u00e9gative size");
  EXPECT_EQ(failure.traceback.rfind("Traceback (most recent call last):\n", 0), 0U);
  EXPECT_NE(failure.traceback.find("in model"), std::string::npos);
}

TEST_F(ErrorTest, OwnExceptionTypeIsQualified) {
  const Failure failure =
      Raise("raise Outer.Bad('x')", "class Outer:\n    class Bad(Exception):\n        pass\n");
  EXPECT_EQ(failure.type, "model.Outer.Bad");
}

TEST_F(ErrorTest, ChainedExceptionsAreAllInTheTraceback) {
  const Failure failure = Raise(
      "try:\n        1 / 0\n    except ZeroDivisionError as e:\n        raise KeyError('k') from "
      "e");
  EXPECT_EQ(failure.type, "KeyError");
  EXPECT_NE(failure.traceback.find("ZeroDivisionError: division by zero"), std::string::npos);
  EXPECT_NE(failure.traceback.find("direct cause"), std::string::npos);
}

TEST_F(ErrorTest, ExitAndInterruptAreThatCallsError) {
  EXPECT_EQ(Raise("raise SystemExit(3)").type, "SystemExit");
  EXPECT_EQ(Raise("__import__('sys').exit('bye')").message, "bye");
  EXPECT_EQ(Raise("raise KeyboardInterrupt").type, "KeyboardInterrupt");
  EXPECT_EQ(Raise("raise GeneratorExit").type, "GeneratorExit");
  EXPECT_EQ(engine_.CallExpression("lambda: 1").Show(), "1");
}

TEST_F(ErrorTest, ExceptionThatCannotBeDescribedIsStillAnError) {
  const std::string bad = "class Bad(Exception):\n    def __str__(self):\n        ";
  const Failure raises = Raise("raise Bad", bad + "raise SystemExit\n");
  EXPECT_EQ(raises.type, "model.Bad");
  EXPECT_EQ(raises.message, "str() of this exception raised SystemExit");
  EXPECT_EQ(Raise("raise Bad", bad + "return 5\n").type, "model.Bad");
  EXPECT_EQ(Raise("raise ValueError('a\\0b\\ud800')").message, "a\\x00b\\ud800");
}

TEST_F(ErrorTest, TorchErrorsAndDeepRecursionArrive) {
  EXPECT_EQ(Raise("torch.ones(2) @ torch.ones(3)").type, "RuntimeError");
  EXPECT_EQ(Raise("return model()").type, "RecursionError");
}

TEST_F(ErrorTest, RefusalHasNoTypeAndNoTraceback) {
  const Failure failure = Raise("return object()");
  EXPECT_EQ(failure.code, TD_INVALID_ARGUMENT);
  EXPECT_EQ(failure.type, "");
  EXPECT_EQ(failure.traceback, "");
}

TEST_F(ErrorTest, NullNamesAreErrors) {
  td_object out = 0;
  td_error error{};
  const td_engine_api& api = engine_.api();
  EXPECT_EQ(api.global(engine_.engine(), nullptr, "x", &out, &error), TD_INVALID_ARGUMENT);
  api.free_error(&error);
  EXPECT_EQ(api.global(engine_.engine(), "sys", "\xff", &out, &error), TD_INVALID_ARGUMENT);
  api.free_error(&error);
  td_value archive = Arena::None();
  EXPECT_EQ(api.open_package(engine_.engine(), nullptr, &archive, &out, &error),
            TD_INVALID_ARGUMENT);
  api.free_error(&error);
  api.free_error(&error);
}

TEST_F(ErrorTest, AnotherMajorVersionIsRefused) {
  td_engine_api api{};
  api.abi_major = TD_ABI_MAJOR + 1;
  api.size = sizeof api;
  EXPECT_EQ(engine_.get_api()(&api), TD_FAILED_PRECONDITION);
  EXPECT_EQ(api.abi_major, TD_ABI_MAJOR);
  EXPECT_EQ(api.create, nullptr);
}

TEST_F(ErrorTest, SecondInterpreterInOneLibraryIsRefused) {
  td_options options{};
  options.size = sizeof options;
  options.intra_op_threads = 1;
  options.python = PYTHON_EXECUTABLE;
  td_engine* second = nullptr;
  td_error error{};
  EXPECT_EQ(engine_.api().create(&options, &second, &error), TD_FAILED_PRECONDITION);
  engine_.api().free_error(&error);
  options.intra_op_threads = 0;
  EXPECT_EQ(engine_.api().create(&options, &second, &error), TD_INVALID_ARGUMENT);
  engine_.api().free_error(&error);
}

}  // namespace
}  // namespace torchdeploy::testing
