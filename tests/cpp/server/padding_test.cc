// Requests of different extents as one call: what is joined, what the model gets, what comes back.
#include "server/padding.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <dlpack/dlpack.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/arguments.h"
#include "server/joined_arguments.h"
#include "server/trimmed_outputs.h"
#include "torchdeploy/status.h"
#include "torchdeploy/tensor.h"
#include "torchdeploy/value.h"

namespace torchdeploy::server {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr DLDataType kInt64{kDLInt, 64, 1};

// The elements `first`, first + 1 ...
template <typename T>
Tensor Counting(DLDataType type, std::vector<int64_t> shape, int first) {
  Tensor tensor = *Tensor::Allocate(type, std::move(shape));
  auto* const data = static_cast<T*>(tensor.data());
  for (int64_t i = 0; i < tensor.num_elements(); ++i) {
    data[i] = static_cast<T>(first + i);
  }
  return tensor;
}

Tensor Ids(std::vector<int64_t> shape, int first = 1) {
  return Counting<int64_t>(kInt64, std::move(shape), first);
}

template <typename T>
std::vector<T> Elements(const Value& value) {
  const Tensor& tensor = *value.get<Tensor>();
  std::vector<T> elements(static_cast<size_t>(tensor.num_elements()));
  tensor.CopyTo(std::as_writable_bytes(std::span(elements)));
  return elements;
}

template <typename T>
std::string BytesOf(T element) {
  return {reinterpret_cast<const char*>(&element), sizeof element};
}

Padding PadIds(int64_t dimension, int64_t element = 0) {
  return {.inputs = {{"ids", {dimension, BytesOf(element), ""}}}, .outputs = {}};
}

Arguments WithIds(Tensor ids) {
  return {{}, {{"ids", std::move(ids)}}};
}

Result<Arguments> Join(const std::vector<Arguments>& requests, const Padding& padding) {
  std::vector<const Arguments*> pointers;
  for (const Arguments& request : requests) {
    pointers.push_back(&request);
  }
  return JoinArguments(pointers, padding);
}

std::string KindOfIds(std::vector<int64_t> shape, const Padding& padding) {
  return RowsOf(WithIds(Ids(std::move(shape))), padding)->kind;
}

TEST(PaddingTest, RequestsGoTogetherWhateverTheirPaddedExtent) {
  const Padding padding = PadIds(1);
  EXPECT_EQ(KindOfIds({2, 3, 4}, padding), KindOfIds({1, 5, 4}, padding));
  EXPECT_NE(KindOfIds({2, 3, 4}, {}), KindOfIds({1, 5, 4}, {}));
}

TEST(PaddingTest, OtherExtentsRanksAndNamesStillKeepRequestsApart) {
  const Padding padding = PadIds(1);
  EXPECT_NE(KindOfIds({2, 3, 4}, padding), KindOfIds({2, 3, 5}, padding));
  EXPECT_NE(KindOfIds({2, 3}, padding), KindOfIds({2, 3, 1}, padding));
  EXPECT_NE(KindOfIds({2}, padding), KindOfIds({2, 3}, padding));
  EXPECT_NE(RowsOf({{}, {{"other", Ids({1, 3})}}}, padding)->kind,
            RowsOf({{}, {{"other", Ids({1, 4})}}}, padding)->kind);
}

TEST(PaddingTest, ARequestWhoseInputsDisagreeIsNotMadeToAgreeByOthers) {
  Padding padding = PadIds(1);
  padding.inputs["mask"] = padding.inputs["ids"];
  const auto kind = [&](int64_t ids, int64_t mask) {
    return RowsOf({{}, {{"ids", Ids({1, ids})}, {"mask", Ids({1, mask})}}}, padding)->kind;
  };
  EXPECT_EQ(kind(5, 5), kind(7, 7));
  EXPECT_NE(kind(5, 5), kind(5, 3));
  EXPECT_EQ(kind(5, 3), kind(8, 2));
}

TEST(PaddingTest, EachRowIsFilledUpToTheLongest) {
  const Result<Arguments> joined =
      Join({WithIds(Ids({2, 2})), WithIds(Ids({1, 3}, 10)), WithIds(Ids({1, 0}))}, PadIds(1, -7));
  ASSERT_TRUE(joined.ok()) << joined.status().ToString();
  const Value& ids = joined->keywords.at(0).second;
  EXPECT_THAT(ids.get<Tensor>()->shape(), ElementsAre(4, 3));
  EXPECT_THAT(Elements<int64_t>(ids),
              ElementsAreArray({1, 2, -7, 3, 4, -7, 10, 11, 12, -7, -7, -7}));
}

TEST(PaddingTest, AnyDimensionButTheFirstCanBePadded) {
  const Result<Arguments> middle =
      Join({WithIds(Ids({1, 1, 2})), WithIds(Ids({1, 2, 2}, 5))}, PadIds(1));
  EXPECT_THAT(Elements<int64_t>(middle->keywords.at(0).second),
              ElementsAreArray({1, 2, 0, 0, 5, 6, 7, 8}));
  const Result<Arguments> last =
      Join({WithIds(Ids({1, 2, 1})), WithIds(Ids({1, 2, 2}, 5))}, PadIds(2));
  EXPECT_THAT(Elements<int64_t>(last->keywords.at(0).second),
              ElementsAreArray({1, 0, 2, 0, 5, 6, 7, 8}));
}

template <typename T>
void ExpectPadded(DLDataType type, T element) {
  const Padding padding{.inputs = {{"ids", {1, BytesOf(element), ""}}}, .outputs = {}};
  const Result<Arguments> joined =
      Join({WithIds(Counting<T>(type, {1, 1}, 1)), WithIds(Counting<T>(type, {1, 4}, 2))}, padding);
  ASSERT_TRUE(joined.ok());
  EXPECT_THAT(Elements<T>(joined->keywords.at(0).second),
              ElementsAreArray({T{1}, element, element, element, T{2}, T{3}, T{4}, T{5}}));
}

TEST(PaddingTest, ElementsOfAnySizeAreFilledIn) {
  ExpectPadded<uint8_t>({kDLBool, 8, 1}, 1);
  ExpectPadded<int8_t>({kDLInt, 8, 1}, -3);
  ExpectPadded<uint16_t>({kDLFloat, 16, 1}, 0x3c01);
  ExpectPadded<uint16_t>({kDLBfloat, 16, 1}, 0x3f81);
  ExpectPadded<float>({kDLFloat, 32, 1}, -0.5F);
  ExpectPadded<double>({kDLFloat, 64, 1}, 1e-300);
}

TEST(PaddingTest, FewLongRowsDoNotMakeManyShortOnesTakeAllMemory) {
  constexpr int64_t kRows = 1 << 20;
  const Padding padding{.inputs = {{"ids", {1, BytesOf(uint8_t{0}), ""}}}, .outputs = {}};
  const DLDataType type{kDLUInt, 8, 1};
  const Status status = Join({WithIds(*Tensor::Allocate(type, {kRows, 1})),
                              WithIds(*Tensor::Allocate(type, {1, 4096}))},
                             padding)
                            .status();
  EXPECT_EQ(status.code(), Code::kResourceExhausted);
  EXPECT_THAT(status.message(), HasSubstr(std::to_string((kRows + 1) * 4096)));
}

TEST(PaddingTest, LengthsAreEachRowsOwnExtent) {
  Padding padding = PadIds(1);
  padding.inputs["ids"].lengths = "ids_lengths";
  std::vector<Arguments> requests = {WithIds(Ids({2, 2})), WithIds(Ids({1, 3}))};
  for (Arguments& request : requests) {
    ASSERT_TRUE(AddLengths(padding, request).ok());
  }
  EXPECT_THAT(Elements<int64_t>(requests[0].keywords.at(1).second), ElementsAre(2, 2));
  const Result<Arguments> joined = Join(requests, padding);
  EXPECT_EQ(joined->keywords.at(1).first, "ids_lengths");
  EXPECT_THAT(Elements<int64_t>(joined->keywords.at(1).second), ElementsAre(2, 2, 3));
  EXPECT_THAT(joined->keywords.at(1).second.get<Tensor>()->shape(), ElementsAre(3));
}

TEST(PaddingTest, NobodyAsksForLengthsWhereNoneAreNamed) {
  Arguments request = WithIds(Ids({2, 2}));
  ASSERT_TRUE(AddLengths(PadIds(1), request).ok());
  EXPECT_EQ(request.keywords.size(), 1U);
}

class TrimmingTest : public testing::Test {
 protected:
  // Of two requests, of 2 and 3 ids, that got these results.
  Status Trim(std::vector<Value> results) {
    results_ = std::move(results);
    const Arguments* const requests[] = {&shorter_, &longer_};
    return TrimOutputs(padding_, requests, results_);
  }

  [[nodiscard]] const Value& ResultOf(size_t request) const {
    return results_[request].get<Dict>()->at(0).second;
  }

  Arguments shorter_ = WithIds(Ids({1, 2}));
  Arguments longer_ = WithIds(Ids({2, 3}));
  Padding padding_ = {.inputs = PadIds(1).inputs, .outputs = {{"hidden", {1, "ids"}}}};
  std::vector<Value> results_;
};

TEST_F(TrimmingTest, EachRequestGetsAnOutputAsLongAsItsOwnInput) {
  const Status status = Trim({Dict{{"hidden", Ids({1, 3, 2})}}, Dict{{"hidden", Ids({2, 3, 2})}}});
  ASSERT_TRUE(status.ok()) << status.ToString();
  EXPECT_THAT(ResultOf(0).get<Tensor>()->shape(), ElementsAre(1, 2, 2));
  EXPECT_THAT(Elements<int64_t>(ResultOf(0)), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(ResultOf(1).get<Tensor>()->shape(), ElementsAre(2, 3, 2));
}

TEST_F(TrimmingTest, RowsAreCutEachByItself) {
  shorter_ = WithIds(Ids({2, 1}));
  ASSERT_TRUE(Trim({Dict{{"hidden", Ids({2, 3})}}, Dict{{"hidden", Ids({2, 3})}}}).ok());
  EXPECT_THAT(Elements<int64_t>(ResultOf(0)), ElementsAre(1, 4));
}

TEST_F(TrimmingTest, AnOutputOfNoLengthIsLeft) {
  shorter_ = WithIds(Ids({1, 0}));
  ASSERT_TRUE(Trim({Dict{{"hidden", Ids({1, 3})}}, Dict{{"hidden", Ids({2, 3})}}}).ok());
  EXPECT_THAT(Elements<int64_t>(ResultOf(0)), IsEmpty());
}

TEST_F(TrimmingTest, WhatIsNotThereStaysSo) {
  EXPECT_TRUE(Trim({Dict{{"hidden", None()}}, Dict{{"hidden", None()}}}).ok());
  EXPECT_TRUE(Trim({Dict{{"y", Ids({1, 3})}}, Dict{{"y", Ids({2, 3})}}}).ok());
  EXPECT_THAT(ResultOf(0).get<Tensor>()->shape(), ElementsAre(1, 3));
  EXPECT_TRUE(Trim({Ids({1, 3}), Ids({2, 3})}).ok());
}

TEST_F(TrimmingTest, AnOutputOfAnotherLengthIsNamed) {
  const auto message = [&](const Value& output) {
    const Status status = Trim({Dict{{"hidden", output}}, Dict{{"hidden", output}}});
    EXPECT_EQ(status.code(), Code::kInternal);
    return status.message();
  };
  EXPECT_THAT(message(Ids({1, 4})), AllOf(HasSubstr("'hidden'"), HasSubstr("extent 4"),
                                          HasSubstr("extent 3"), HasSubstr("'ids'")));
  EXPECT_THAT(message(Ids({1})), HasSubstr("1 dimensions"));
  EXPECT_THAT(message(List{"a"}), HasSubstr("no tensor"));
}

}  // namespace
}  // namespace torchdeploy::server
