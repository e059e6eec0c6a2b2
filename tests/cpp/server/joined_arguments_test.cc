// Arguments of several requests as one call's, and its result as theirs.
#include "server/joined_arguments.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <dlpack/dlpack.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/arguments.h"
#include "torchdeploy/status.h"
#include "torchdeploy/tensor.h"
#include "torchdeploy/value.h"

#include "tests/cpp/runtime/fake_pool.h"

namespace torchdeploy::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr DLDataType kFloat32{kDLFloat, 32, 1};

// The elements 0, 1, 2 ... plus `first`.
Tensor Counting(std::vector<int64_t> shape, float first) {
  Tensor tensor = *Tensor::Allocate(kFloat32, std::move(shape));
  auto* const data = static_cast<float*>(tensor.data());
  for (int64_t i = 0; i < tensor.num_elements(); ++i) {
    data[i] = first + static_cast<float>(i);
  }
  return tensor;
}

Arguments Named(const std::string& name, Value value) {
  return {{}, {{name, std::move(value)}}};
}

TEST(JoinedArgumentsTest, RequestsGoTogetherWhenAllButTheirRowsIsEqual) {
  const auto kind = [](const Arguments& arguments) { return RowsOf(arguments)->kind; };
  const std::string x23 = kind(Named("x", Counting({2, 3}, 0)));
  EXPECT_EQ(x23, kind(Named("x", Counting({7, 3}, 0))));
  EXPECT_NE(x23, kind(Named("x", Counting({2, 4}, 0))));
  EXPECT_NE(x23, kind(Named("x", Counting({2, 3, 1}, 0))));
  EXPECT_NE(x23, kind(Named("y", Counting({2, 3}, 0))));
  EXPECT_NE(x23, kind(Named("x", *Tensor::Allocate({kDLFloat, 64, 1}, {2, 3}))));
  EXPECT_EQ(kind(Named("t", List{Bytes{"a"}, Bytes{"b"}})), kind(Named("t", List{Bytes{"c"}})));
  EXPECT_NE(kind(Named("t", List{List{Bytes{"a"}}})), kind(Named("t", List{Bytes{"c"}})));
}

TEST(JoinedArgumentsTest, NamesAreNotTakenForPartsOfAKind) {
  const Tensor floats = Counting({1}, 0);
  const Tensor doubles = *Tensor::Allocate({kDLFloat, 64, 1}, {1});
  const Arguments one = {{}, {{"a", floats}, {"a:2/32;a", doubles}}};
  const Arguments other = {{}, {{"a:2/32;a", floats}, {"a", doubles}}};
  EXPECT_NE(RowsOf(one)->kind, RowsOf(other)->kind);
}

TEST(JoinedArgumentsTest, ArgumentsWithoutRowsOfTheirOwnStayAlone) {
  EXPECT_FALSE(RowsOf(Arguments{}));
  EXPECT_FALSE(RowsOf(Named("x", 3)));
  EXPECT_FALSE(RowsOf(Named("x", Counting({}, 0))));
  EXPECT_FALSE(RowsOf(Named("x", Counting({0, 3}, 0))));
  EXPECT_FALSE(RowsOf({{Counting({2}, 0), Counting({3}, 0)}, {}}));
  EXPECT_EQ(RowsOf({{Counting({2}, 0), Counting({2, 5}, 0)}, {}})->count, 2);
}

TEST(JoinedArgumentsTest, RowsOfTensorsAndTextsComeOneBelowTheOther) {
  const Arguments a{{Counting({2, 2}, 0)}, {{"t", List{Bytes{"a"}, Bytes{"b"}}}}};
  const Arguments b{{Counting({1, 2}, 10)}, {{"t", List{Bytes{"c"}}}}};
  const Arguments* const both[] = {&a, &b};
  const Result<Arguments> joined = JoinArguments(both);
  ASSERT_TRUE(joined.ok());
  EXPECT_THAT(ElementsOf(joined->positional[0]), ElementsAre(0, 1, 2, 3, 10, 11));
  EXPECT_THAT(joined->positional[0].get<Tensor>()->shape(), ElementsAre(3, 2));
  EXPECT_EQ(joined->keywords[0].first, "t");
  EXPECT_EQ(joined->keywords[0].second.get<List>()->at(2).get<Bytes>()->data, "c");
}

TEST(JoinedArgumentsTest, EachRequestGetsItsRowsOfEveryPartOfTheResult) {
  const Value result(Dict{{"y", Counting({3, 2}, 0)},
                          {"more", Tuple{{Counting({3}, 5), None(), List{"a", "b", "c"}}}}});
  const int64_t rows[] = {2, 1};
  const Result<std::vector<Value>> parts = SplitResult(result, rows);
  ASSERT_TRUE(parts.ok()) << parts.status().ToString();
  const Dict& second = *parts->at(1).get<Dict>();
  EXPECT_THAT(ElementsOf(second[0].second), ElementsAre(4, 5));
  EXPECT_THAT(second[0].second.get<Tensor>()->shape(), ElementsAre(1, 2));
  const std::vector<Value>& more = second[1].second.get<Tuple>()->items;
  EXPECT_THAT(ElementsOf(more[0]), ElementsAre(7));
  EXPECT_TRUE(more[1].is<None>());
  EXPECT_EQ(*more[2].get<List>()->at(0).get<std::string>(), "c");
  const Dict& first = *parts->at(0).get<Dict>();
  EXPECT_THAT(ElementsOf(first[0].second), ElementsAre(0, 1, 2, 3));
  EXPECT_EQ(first[1].second.get<Tuple>()->items[2].get<List>()->size(), 2U);
}

TEST(JoinedArgumentsTest, RowsOfTextMayHaveNoElements) {
  const int64_t rows[] = {2, 1};
  for (const Value& result :
       {Value(List{List{}, List{"a"}, List{}}), Value(List{List{}, List{List{}}, List{}})}) {
    const Result<std::vector<Value>> parts = SplitResult(result, rows);
    ASSERT_TRUE(parts.ok()) << parts.status().ToString();
    EXPECT_EQ(parts->at(0).get<List>()->size(), 2U);
    EXPECT_EQ(parts->at(0).get<List>()->at(1).get<List>()->size(), 1U);
    EXPECT_EQ(parts->at(1).get<List>()->size(), 1U);
  }
}

TEST(JoinedArgumentsTest, EmptyOutputsInAListAreEachRequests) {
  const int64_t rows[] = {2, 1};
  const Result<std::vector<Value>> parts = SplitResult(List{List{}, List{}}, rows);
  ASSERT_TRUE(parts.ok()) << parts.status().ToString();
  EXPECT_EQ(parts->at(0).get<List>()->size(), 2U);
  EXPECT_EQ(parts->at(1).get<List>()->size(), 2U);
}

TEST(JoinedArgumentsTest, PartsOutliveTheResult) {
  std::vector<Value> parts;
  {
    const int64_t rows[] = {1, 1};
    parts = *SplitResult(Counting({2}, 3), rows);
  }
  EXPECT_THAT(ElementsOf(parts[1]), ElementsAre(4));
}

TEST(JoinedArgumentsTest, ResultWithoutTheRequestsRowsIsNamed) {
  const int64_t rows[] = {2, 1};
  const auto message = [&](const Value& result) {
    const Status status = SplitResult(result, rows).status();
    EXPECT_EQ(status.code(), Code::kInternal);
    return status.message();
  };
  EXPECT_THAT(message(Counting({2, 2}, 0)), HasSubstr("a tensor of 2 rows"));
  EXPECT_THAT(message(Counting({}, 0)), HasSubstr("shape []"));
  EXPECT_THAT(message(Dict{{"loss", 0.5}}), HasSubstr("a number or a text"));
  EXPECT_THAT(message(List{"a"}), HasSubstr("a list of 1 texts"));
}

}  // namespace
}  // namespace torchdeploy::server
