// Packages of AOTInductor: compiled code, called as any model is.
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "torchdeploy/archive_format.h"
#include "torchdeploy/interpreter_session.h"
#include "torchdeploy/package.h"
#include "torchdeploy/replicated_obj.h"
#include "torchdeploy/status.h"
#include "torchdeploy/tensor.h"
#include "torchdeploy/value.h"

#include "tests/cpp/must.h"
#include "tests/cpp/native/native_archives.h"

namespace torchdeploy {

namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

Value Rows() {
  return MakeTensor({1, 2, 3, 4}, {2, 2});
}

Value Shifts(float up, float down) {
  return Dict{{"up", MakeTensor({up, up})}, {"down", MakeTensor({down, down})}};
}

const Value& At(const Value& dict, const std::string& key) {
  static const Value kMissing;
  for (const auto& [name, value] : *dict.get<Dict>()) {
    if (*name.get<std::string>() == key) {
      return value;
    }
  }
  ADD_FAILURE() << "no key " << key;
  return kMissing;
}

Status RefusalOf(const std::vector<Value>& args, const Kwargs& kwargs = {}) {
  return LoadNativeModel("branches.pt2").Call(args, kwargs).status();
}

// How many mappings of compiled code this process has.
size_t MappingsOfCode() {
  std::ifstream maps("/proc/self/maps");
  size_t count = 0;
  for (std::string line; std::getline(maps, line);) {
    count += line.find(".wrapper.so") != std::string::npos ? 1 : 0;
  }
  return count;
}

TEST(CompiledTest, APackageIsKnownByWhatIsInItAndGivesNestedResults) {
  const Package package = LoadNative("branches.pt2");
  EXPECT_EQ(package.format(), ArchiveFormat::kAotInductor);
  const Value result = Must(package.LoadPickle().Call({Rows()}, {{"shifts", Shifts(2, 1)}}));
  EXPECT_THAT(ElementsOf(At(result, "y")), ElementsAre(32, 54));
  EXPECT_TRUE(At(result, "none").is<None>());
  const Tuple& parts = *At(result, "parts").get<Tuple>();
  EXPECT_THAT(ElementsOf(parts.items.at(0)), ElementsAre(2, 4, 6, 8));
  EXPECT_THAT(ElementsOf(parts.items.at(1).get<List>()->at(0)), ElementsAre(10));
  EXPECT_THAT(ElementsOf(parts.items.at(1).get<List>()->at(1)), ElementsAre(2, 3, 4, 5));
}

TEST(CompiledTest, ArgumentsMayAllBeGivenByPosition) {
  const ReplicatedObj model = LoadNativeModel("branches.pt2");
  const Value result = Must(model.Call({Rows(), Shifts(0, 0)}));
  EXPECT_THAT(ElementsOf(At(result, "y")), ElementsAre(21, 43));
}

TEST(CompiledTest, ATensorThatTheCodeWasNotCompiledForIsRefusedByName) {
  const Status narrow = RefusalOf({MakeTensor({1}, {1, 1}), Shifts(0, 0)});
  EXPECT_EQ(narrow.code(), Code::kInvalidArgument) << narrow.ToString();
  EXPECT_THAT(narrow.message(), HasSubstr("argument 0: unmatched dim value"));
  const Value small = Dict{{"up", MakeTensor({1})}, {"down", MakeTensor({1, 1})}};
  const Status shift = RefusalOf({Rows(), small});
  EXPECT_EQ(shift.code(), Code::kInvalidArgument) << shift.ToString();
  EXPECT_THAT(shift.message(), HasSubstr("argument \"shifts\"[\"up\"]: unmatched dim value"));
  std::array<int32_t, 4> four{};
  const Tensor ints = Tensor::View(four.data(), {kDLInt, 32, 1}, {2, 2}, nullptr);
  const Status dtype = RefusalOf({ints, Shifts(0, 0)});
  EXPECT_EQ(dtype.code(), Code::kInvalidArgument) << dtype.ToString();
  EXPECT_THAT(dtype.message(), HasSubstr("argument 0: unmatched dtype"));
}

TEST(CompiledTest, ArgumentsThatTheCodeDoesNotTakeAreRefusedByName) {
  const auto refused = [](const Status& status, const std::string& message) {
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << status.ToString();
    EXPECT_THAT(status.message(), HasSubstr(message));
  };
  refused(RefusalOf({Rows()}, {{"shift", Shifts(0, 0)}}),
          "has no argument \"shift\"; it takes argument 0, shifts");
  refused(RefusalOf({Rows(), Shifts(0, 0)}, {{"shifts", Shifts(0, 0)}}), "\"shifts\" twice");
  refused(RefusalOf({Rows(), Value(), Value()}), "3 arguments by position");
  refused(RefusalOf({Rows()}), "lacks the argument \"shifts\"");
  refused(RefusalOf({Value(), Shifts(0, 0)}), "argument 0: is a value of type NoneType");
  refused(RefusalOf({MakeTensor({}, {0, 2}), Shifts(0, 0)}), "argument 0: is a tensor without");
  refused(RefusalOf({Value(1.5), Shifts(0, 0)}), "argument 0: is a value of type float");
  refused(RefusalOf({Rows(), Rows()}), "\"shifts\": is a value of type Tensor; expected a dict");
  refused(RefusalOf({Rows(), Dict{{"up", MakeTensor({1, 1})}}}), "lacks the key \"down\"");
  refused(RefusalOf({Rows(), Dict{{"over", MakeTensor({1, 1})}}}), "has the key \"over\"");
}

TEST(CompiledTest, TensorsWhoseRowsDifferAreRefusedWhereTheyMustNot) {
  const ReplicatedObj model = LoadNativeModel("sum.pt2");
  const Value result = Must(model.Call({Rows(), Rows()}));
  const auto& [key, sum] = result.get<Dict>()->at(0);
  EXPECT_EQ(*key.get<int64_t>(), 7);
  EXPECT_THAT(ElementsOf(sum), ElementsAre(3, 6, 9, 12));
  const Status differ = model.Call({Rows(), MakeTensor({1, 2}, {1, 2})}).status();
  EXPECT_EQ(differ.code(), Code::kInvalidArgument) << differ.ToString();
  EXPECT_THAT(differ.message(), HasSubstr("extents that must be equal are not"));
}

TEST(CompiledTest, ATensorThatIsRefusedIsLetGo) {
  auto owner = std::make_shared<std::vector<float>>(3);
  const std::weak_ptr<std::vector<float>> held = owner;
  float* const data = owner->data();
  const Status refused =
      RefusalOf({Tensor::View(data, {kDLFloat, 32, 1}, {1, 3}, std::move(owner)), Shifts(0, 0)});
  EXPECT_EQ(refused.code(), Code::kInvalidArgument) << refused.ToString();
  EXPECT_TRUE(held.expired());
}

TEST(CompiledTest, WhatItGivesOutlivesIt) {
  std::optional<Value> result;
  {
    const Package package = LoadNative("weight.pt2");
    result = Must(package.LoadPickle().Call({MakeTensor({5, 6})}));
  }
  const Tuple& values = *result->get<Tuple>();
  EXPECT_EQ(ElementsOf(values.items.at(0)).back(), 999999);
  EXPECT_THAT(ElementsOf(values.items.at(1)), ElementsAre(0, 1, 2));
  EXPECT_THAT(ElementsOf(values.items.at(2)), ElementsAre(5, 6));
}

TEST(CompiledTest, ItLeavesNothingBehind) {
  {
    const Package package = LoadNative("weight.pt2");
    ASSERT_TRUE(package.LoadPickle().LoadEverywhere().ok());
    ASSERT_TRUE(package.LoadPickle().Call({MakeTensor({5, 6})}).ok());
    EXPECT_GT(MappingsOfCode(), 0);
  }
  EXPECT_EQ(MappingsOfCode(), 0);
  const std::string own = "torchdeploy-" + std::to_string(getpid());
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::temp_directory_path())) {
    EXPECT_THAT(entry.path().filename().string(), Not(HasSubstr(own)));
  }
}

TEST(CompiledTest, CallsFromManyThreadsAreAnsweredEachWithItsOwn) {
  const ReplicatedObj model = LoadNativeModel("branches.pt2");
  EXPECT_EQ(CountWrong([&](float x) {
              const Result<Value> result = model.Call({MakeTensor({x, x}, {1, 2}), Shifts(0, 0)});
              return result.ok() && ElementsOf(At(*result, "y")) == std::vector<float>{11 * x};
            }),
            0);
}

TEST(CompiledTest, WhatCannotRunHereIsRefusedWithTheReason) {
  const Status exported = NativeManager().LoadPackage(TD_ARCHIVES "exported.pt2").status();
  EXPECT_EQ(exported.code(), Code::kInvalidArgument);
  EXPECT_THAT(exported.message(), HasSubstr("not compiled"));
  const Status gpu = LoadNativeModel("elsewhere.pt2").Call({}).status();
  EXPECT_EQ(gpu.code(), Code::kFailedPrecondition) << gpu.ToString();
  EXPECT_THAT(gpu.message(), HasSubstr("compiled for 'cuda'"));
  const Status label = LoadNativeModel("label.pt2").Call({}).status();
  EXPECT_EQ(label.code(), Code::kFailedPrecondition) << label.ToString();
  EXPECT_THAT(label.message(), HasSubstr("exported with 4 values, and takes 3 tensors"));
}

}  // namespace

}  // namespace torchdeploy
