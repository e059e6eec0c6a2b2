// Tests of the names of a result's parts.
#include "server/named_outputs.h"

#include <cstdint>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "torchdeploy/manifest.h"
#include "torchdeploy/value.h"

namespace torchdeploy::server {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> NamesOf(const Value& result,
                                 const std::vector<TensorSpec>& declared = {}) {
  std::vector<std::string> names;
  for (const auto& [name, value] : NameOutputs(result, declared)) {
    names.push_back(name);
  }
  return names;
}

TEST(NamedOutputsTest, ASinglePartIsOutputZero) {
  EXPECT_THAT(NamesOf(1.5), ElementsAre("OUTPUT__0"));
  EXPECT_THAT(NamesOf("text"), ElementsAre("OUTPUT__0"));
}

TEST(NamedOutputsTest, ItemsOfATupleOrListAreNumbered) {
  EXPECT_THAT(NamesOf(Tuple{{1, 2}}), ElementsAre("OUTPUT__0", "OUTPUT__1"));
  EXPECT_THAT(NamesOf(List{1, 2}), ElementsAre("OUTPUT__0", "OUTPUT__1"));
}

TEST(NamedOutputsTest, PartsOfADictAreNamedByKeysInTheirOrder) {
  EXPECT_THAT(NamesOf(Dict{{"b", 1}, {"a", 2}, {7, 3}}), ElementsAre("b", "a", "7"));
}

TEST(NamedOutputsTest, DeeperPartsAreJoinedByDots) {
  const Value result = Dict{{"hidden", Tuple{{1, 2}}}, {"loss", Dict{{"total", 3}}}};
  EXPECT_THAT(NamesOf(result), ElementsAre("hidden.0", "hidden.1", "loss.total"));
  EXPECT_THAT(NamesOf(Tuple{{1, Dict{{"loss", 2}}, Tuple{{3}}}}),
              ElementsAre("OUTPUT__0", "OUTPUT__1.loss", "OUTPUT__2.0"));
}

TEST(NamedOutputsTest, ListsOfTextAreOnePart) {
  EXPECT_THAT(NamesOf(List{"a", Bytes{"b"}}), ElementsAre("OUTPUT__0"));
  EXPECT_THAT(NamesOf(Dict{{"text", List{List{"a"}}}}), ElementsAre("text"));
}

TEST(NamedOutputsTest, NoneIsLeftOutAndKeepsTheOthersNumbers) {
  EXPECT_THAT(NamesOf(None()), IsEmpty());
  EXPECT_THAT(NamesOf(Tuple{{None(), 2}}), ElementsAre("OUTPUT__1"));
  EXPECT_THAT(NamesOf(Dict{{"a", None()}, {"b", List{}}}), IsEmpty());
}

TEST(NamedOutputsTest, AnEmptyListThatIsDeclaredAsTextIsOnePart) {
  const std::vector<TensorSpec> declared = {{"text", "BYTES", {}}, {"number", "INT64", {}}};
  const Value result = Dict{{"text", List{}}, {"number", List{}}};
  EXPECT_THAT(NamesOf(result, declared), ElementsAre("text"));
  EXPECT_THAT(NamesOf(result), IsEmpty());
}

TEST(NamedOutputsTest, PartsPointIntoTheResult) {
  const Value result = Dict{{"a", Tuple{{1, 2}}}};
  const auto outputs = NameOutputs(result, {});
  ASSERT_EQ(outputs.size(), 2);
  EXPECT_EQ(*outputs[1].second->get<int64_t>(), 2);
}

}  // namespace
}  // namespace torchdeploy::server
