// Opening archives and loading their pickles.
#include <cstddef>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "interpreter_lib/abi/interp_abi.h"

#include "tests/cpp/engine/engine_under_test.h"
#include "tests/cpp/engine/values.h"

namespace torchdeploy::testing {
namespace {

class ArchiveTest : public ::testing::Test {
 protected:
  Failure Open(const std::string& name, td_object* importer) {
    return engine_.OpenPackage(ARCHIVE_FOLDER + name, importer);
  }
  td_code CodeOf(const std::string& name) {
    td_object importer = 0;
    return Open(name, &importer).code;
  }

  EngineUnderTest& engine_ = EngineUnderTest::Get();
};

TEST_F(ArchiveTest, PickleOfAnArchiveIsLoadedAndCalled) {
  for (const std::string name : {"plain.pt", "fitting.pt"}) {
    td_object importer = 0;
    td_object model = 0;
    ASSERT_EQ(Open(name, &importer).message, "");
    ASSERT_EQ(engine_.LoadPickle(importer, "model", "model.pkl", &model).message, "");
    EXPECT_EQ(engine_.Call(model, {Arena::Int(21)}).Show(), "42");
  }
}

TEST_F(ArchiveTest, OtherVersionsAreRefusedAndEachIsNamed) {
  td_object importer = 0;
  const Failure failure = Open("versions.pt", &importer);
  EXPECT_EQ(failure.code, TD_FAILED_PRECONDITION);
  EXPECT_EQ(failure.type, "");
  for (const std::string part :
       {"versions.pt needs other versions", "Python 2.7.18 is wanted, 3.", "torch 1.13.0 is wanted",
        "no-such-distribution 3.0 is wanted, none is here", "numpy 0.1 is wanted, "}) {
    EXPECT_NE(failure.message.find(part), std::string::npos) << failure.message;
  }
  EXPECT_EQ(importer, 0U);
}

TEST_F(ArchiveTest, UnknownFormatAndInvalidManifestAreRefused) {
  td_object importer = 0;
  const Failure failure = Open("format.pt", &importer);
  EXPECT_EQ(failure.code, TD_FAILED_PRECONDITION);
  EXPECT_NE(failure.message.find("has manifest format 2; this reader knows 1"), std::string::npos);
  EXPECT_EQ(CodeOf("not_json.pt"), TD_INVALID_ARGUMENT);
  EXPECT_EQ(CodeOf("not_object.pt"), TD_INVALID_ARGUMENT);
}

TEST_F(ArchiveTest, WhatIsNoArchiveIsDataLoss) {
  EXPECT_EQ(CodeOf("truncated.pt"), TD_DATA_LOSS);
  EXPECT_EQ(CodeOf("empty.pt"), TD_DATA_LOSS);
  EXPECT_EQ(CodeOf("text.pt"), TD_DATA_LOSS);
}

// What the archive's model gives: its one weight, whose memory must lie in the archive's or not.
void CheckWeight(const std::string& name, bool lies_in_archive) {
  EngineUnderTest& engine = EngineUnderTest::Get();
  td_object importer = 0;
  ASSERT_EQ(engine.OpenPackage(ARCHIVE_FOLDER + name, &importer).message, "");
  td_value archive = ReadArchive(ARCHIVE_FOLDER + name);
  const auto* const begin = static_cast<const std::byte*>(archive.as.tensor->dl_tensor.data);
  const auto size = archive.as.tensor->dl_tensor.shape[0];
  td_object model = 0;
  td_error error{};
  const td_pickle pickle{"model", "model.pkl"};
  ASSERT_EQ(engine.api().load_pickle(engine.engine(), importer, &pickle, &archive, &model, &error),
            TD_OK);
  Outcome weight = engine.Call(model);
  const auto* const data = static_cast<const std::byte*>(weight.value().as.tensor->dl_tensor.data);
  EXPECT_EQ(data >= begin && data < begin + size, lies_in_archive);
  EXPECT_EQ(Floats(weight.value()), (std::vector<float>{0, 1, 2, 3, 4}));
}

TEST_F(ArchiveTest, TensorsOfAPickleAreViewsOfTheArchive) {
  CheckWeight("weight.pt", true);
}

TEST_F(ArchiveTest, TensorsOfACompressedArchiveHaveMemoryOfTheirOwn) {
  CheckWeight("compressed.pt", false);
}

TEST_F(ArchiveTest, MissingPickleIsNotFound) {
  td_object importer = 0;
  td_object model = 0;
  ASSERT_EQ(Open("plain.pt", &importer).code, TD_OK);
  const Failure failure = engine_.LoadPickle(importer, "model", "other.pkl", &model);
  EXPECT_EQ(failure.code, TD_NOT_FOUND);
  EXPECT_NE(failure.message.find("has no pickle \"other.pkl\" in package \"model\""),
            std::string::npos);
}

TEST_F(ArchiveTest, ObjectThatIsNoImporterIsRefused) {
  td_object model = 0;
  const td_object object = engine_.Eval("[1]");
  EXPECT_EQ(engine_.LoadPickle(object, "model", "model.pkl", &model).code, TD_INVALID_ARGUMENT);
}

}  // namespace
}  // namespace torchdeploy::testing
