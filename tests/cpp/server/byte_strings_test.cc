// Tests of BYTES tensors on the wire and as lists.
#include "server/byte_strings.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

namespace torchdeploy::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kWithNul("a\0b", 3);

std::string RawOf(const Value& value, std::vector<int64_t>& shape) {
  std::string raw;
  EXPECT_TRUE(JoinByteStrings(value, shape, raw).ok());
  return raw;
}

TEST(ByteStringsTest, SplitsElementsByTheirLittleEndianLength) {
  const auto elements = SplitByteStrings(std::string("\x03\0\0\0a\0b\0\0\0\0\x01\0\0\0z", 16), 3);
  ASSERT_TRUE(elements.ok());
  EXPECT_THAT(*elements, ElementsAre(kWithNul, "", "z"));
}

TEST(ByteStringsTest, ReadsAllFourBytesOfALength) {
  const std::string element(0x012345, 'x');
  const auto elements = SplitByteStrings(std::string("\x45\x23\x01\0", 4) + element, 1);
  ASSERT_TRUE(elements.ok());
  EXPECT_THAT(*elements, ElementsAre(element));
}

TEST(ByteStringsTest, NoContentsAreNoElements) {
  const auto elements = SplitByteStrings("", 0);
  ASSERT_TRUE(elements.ok());
  EXPECT_THAT(*elements, IsEmpty());
}

TEST(ByteStringsTest, ALengthPastTheEndNamesTheElement) {
  for (const std::string& raw :
       {std::string("\x01\0\0\0a\x02\0\0\0b", 10), std::string("\x01\0\0\0a\x01\0\0", 8),
        std::string("\x01\0\0\0a\xff\xff\xff\xff", 9)}) {
    const auto elements = SplitByteStrings(raw, 2);
    ASSERT_FALSE(elements.ok());
    EXPECT_EQ(elements.status().code(), Code::kInvalidArgument);
    EXPECT_THAT(elements.status().message(), HasSubstr("element 1"));
  }
}

TEST(ByteStringsTest, AnotherNumberOfElementsThanTheShapeHoldsIsRefused) {
  const std::string raw("\0\0\0\0\0\0\0\0", 8);
  EXPECT_TRUE(SplitByteStrings(raw, 2).ok());
  EXPECT_THAT(SplitByteStrings(raw, 1).status().message(),
              HasSubstr("more than 1 elements in the raw contents; the shape holds 1"));
  EXPECT_THAT(SplitByteStrings(raw, 3).status().message(),
              HasSubstr("there are 2 elements in the raw contents; the shape holds 3"));
}

TEST(ByteStringsTest, NestsOneListForEachDimension) {
  const Value value = NestByteStrings({"a", "b", "c", "d"}, {2, 2});
  ASSERT_TRUE(value.is<List>());
  const List& rows = *value.get<List>();
  ASSERT_EQ(rows.size(), 2);
  EXPECT_EQ((*rows[0].get<List>())[1].get<Bytes>()->data, "b");
  EXPECT_EQ((*rows[1].get<List>())[0].get<Bytes>()->data, "c");
}

TEST(ByteStringsTest, AScalarIsBytesAndNoList) {
  const Value value = NestByteStrings({kWithNul}, {});
  ASSERT_TRUE(value.is<Bytes>());
  EXPECT_EQ(value.get<Bytes>()->data, kWithNul);
}

TEST(ByteStringsTest, AnEmptyDimensionIsAnEmptyList) {
  const Value value = NestByteStrings({}, {2, 0});
  ASSERT_EQ(value.get<List>()->size(), 2);
  EXPECT_TRUE((*value.get<List>())[0].get<List>()->empty());
}

TEST(ByteStringsTest, JoinsTextAndBytesToWhatTheySplitInto) {
  std::vector<int64_t> shape;
  const std::string raw = RawOf(List{List{"text", Bytes{kWithNul}}, List{"", Bytes{"z"}}}, shape);
  EXPECT_THAT(shape, ElementsAre(2, 2));
  EXPECT_THAT(*SplitByteStrings(raw, 4), ElementsAre("text", kWithNul, "", "z"));
}

TEST(ByteStringsTest, TextAndBytesAndNonEmptyListsOfTheseAreByteStrings) {
  EXPECT_TRUE(IsByteStrings("text"));
  EXPECT_TRUE(IsByteStrings(Bytes{""}));
  EXPECT_TRUE(IsByteStrings(List{List{"a"}, List{Bytes{"b"}}}));
  EXPECT_FALSE(IsByteStrings(List{}));
  EXPECT_FALSE(IsByteStrings(List{"a", 1}));
  EXPECT_FALSE(IsByteStrings(Tuple{{"a"}}));
}

TEST(ByteStringsTest, ListsOfUnequalLengthHaveNoShape) {
  std::vector<int64_t> shape;
  std::string raw;
  const Status status = JoinByteStrings(List{List{"a", "b"}, List{"c"}}, shape, raw);
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("equal length"));
}

TEST(ByteStringsTest, ListsWithoutElementsHaveAShapeAsFarAsTheyGo) {
  for (const auto& [value, expected] : std::vector<std::pair<Value, std::vector<int64_t>>>{
           {List{}, {0}}, {List{List{}, List{}}, {2, 0}}}) {
    std::vector<int64_t> shape;
    EXPECT_THAT(RawOf(value, shape), IsEmpty());
    EXPECT_EQ(shape, expected);
  }
}

TEST(ByteStringsTest, TextBesideAListHasNoShape) {
  for (const Value& value : {Value(List{List{"a"}, "b"}), Value(List{"b", List{"a"}})}) {
    std::vector<int64_t> shape;
    std::string raw;
    EXPECT_EQ(JoinByteStrings(value, shape, raw).code(), Code::kInvalidArgument);
  }
}

}  // namespace
}  // namespace torchdeploy::server
