// Archives that define an operator of the same name.
#include <string>

#include <gtest/gtest.h>

#include "interpreter_lib/abi/interp_abi.h"

#include "tests/cpp/engine/engine_under_test.h"
#include "tests/cpp/engine/values.h"

namespace torchdeploy::testing {
namespace {

// The interpreter keeps every operator, so the cases build on one another within each test.
class OperatorClashTest : public ::testing::Test {
 protected:
  Failure Load(const std::string& name, td_object* model) {
    td_object importer = 0;
    const Failure failure = engine_.OpenPackage(ARCHIVE_FOLDER + name, &importer);
    return failure.code == TD_OK ? engine_.LoadPickle(importer, "model", "model.pkl", model)
                                 : failure;
  }
  // What the model gives for 1, or why it could not be loaded or called.
  std::string Run(const std::string& name) {
    td_object model = 0;
    const Failure failure = Load(name, &model);
    return failure.code == TD_OK ? Run(model) : failure.message;
  }
  std::string Run(td_object model) {
    const td_object one = engine_.Eval("__import__('torch').ones(1)");
    Outcome outcome = engine_.Call(model, {Arena::Object(one)});
    return outcome.ok() ? std::to_string(Floats(outcome.value())[0]) : outcome.failure().message;
  }
  void ExpectClash(const std::string& name, const std::string& op, const std::string& earlier) {
    td_object model = 0;
    const Failure failure = Load(name, &model);
    EXPECT_EQ(failure.code, TD_ALREADY_EXISTS) << name << ": " << failure.message;
    for (const std::string& part : {op, name, earlier}) {
      EXPECT_NE(failure.message.find(part), std::string::npos) << failure.message;
    }
  }

  EngineUnderTest& engine_ = EngineUnderTest::Get();
};

TEST_F(OperatorClashTest, DifferentCustomOperatorOfTheSameNameIsRefused) {
  td_object first = 0;
  td_object same = 0;
  ASSERT_EQ(Load("scale2.pt", &first).message, "");
  EXPECT_EQ(Run(first), "2.000000");
  ASSERT_EQ(Load("scale2_again.pt", &same).message, "");
  EXPECT_EQ(Run(same), "2.000000");
  ExpectClash("scale3.pt", "demo::scale", "scale2.pt");
  ExpectClash("scale2_other_helper.pt", "demo::scale", "scale2.pt");
  EXPECT_EQ(Run("other_name.pt"), "3.000000");
  EXPECT_EQ(Run(first), "2.000000");
  EXPECT_EQ(Run(same), "2.000000");

  td_object late = 0;
  ASSERT_EQ(Load("late.pt", &late).code, TD_OK);
  const Outcome outcome = engine_.Call(late, {Arena::Int(1)});
  EXPECT_EQ(outcome.failure().code, TD_ALREADY_EXISTS) << outcome.failure().message;
  EXPECT_EQ(Run(first), "2.000000");
}

TEST_F(OperatorClashTest, DifferentLibraryOperatorOfTheSameNameIsRefused) {
  EXPECT_EQ(Run("library2.pt"), "2.000000");
  EXPECT_EQ(Run("library2_again.pt"), "2.000000");
  ExpectClash("library3.pt", "demolib::f", "library2.pt");
  EXPECT_EQ(Run("library_other.pt"), "5.000000");
  EXPECT_EQ(Run("library2.pt"), "2.000000");
}

TEST_F(OperatorClashTest, DifferentOperatorOfTorchLibraryDefineIsRefused) {
  EXPECT_EQ(Run("functional2.pt"), "2.000000");
  EXPECT_EQ(Run("functional2_again.pt"), "2.000000");
  ExpectClash("functional3.pt", "demofn::f", "functional2.pt");
  EXPECT_EQ(Run("functional_other.pt"), "5.000000");
}

TEST_F(OperatorClashTest, RedefinitionOutsideArchivesFollowsTorch) {
  EXPECT_EQ(engine_
                .Call(engine_.Define("@torch.library.custom_op('demoinst::f', mutates_args=())\n"
                                     "def f(x: torch.Tensor) -> torch.Tensor:\n    return x * 7\n"
                                     "@torch.library.custom_op('demoinst::f', mutates_args=())\n"
                                     "def f(x: torch.Tensor) -> torch.Tensor:\n    return x * 8\n"
                                     "g = lambda: f(torch.ones(1)).item()",
                                     "g"))
                .Show(),
            "8f");
}

}  // namespace
}  // namespace torchdeploy::testing
