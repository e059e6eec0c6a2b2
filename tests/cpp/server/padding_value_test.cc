// What config.yaml may say of the value that inputs are padded with.
#include "server/padding_value.h"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/datatype.h"
#include "torchdeploy/status.h"

namespace torchdeploy::server {
namespace {

using testing::HasSubstr;

template <typename T>
T Element(const std::string& datatype, const std::string& text) {
  const Result<std::string> bytes = PaddingElement(text, *DataTypeNamed(datatype));
  EXPECT_TRUE(bytes.ok()) << datatype << " " << text;
  T element{};
  EXPECT_EQ(bytes->size(), sizeof element) << datatype;
  std::memcpy(&element, bytes->data(), sizeof element);
  return element;
}

TEST(PaddingValueTest, WholeNumbersTakeTheirWholeRange) {
  EXPECT_EQ(Element<int8_t>("INT8", "-128"), -128);
  EXPECT_EQ(Element<uint8_t>("UINT8", "255"), 255);
  EXPECT_EQ(Element<int16_t>("INT16", "-32768"), -32768);
  EXPECT_EQ(Element<uint16_t>("UINT16", "65535"), 65535);
  EXPECT_EQ(Element<int32_t>("INT32", "-2147483648"), std::numeric_limits<int32_t>::min());
  EXPECT_EQ(Element<uint32_t>("UINT32", "4294967295"), 4294967295U);
  EXPECT_EQ(Element<int64_t>("INT64", "9223372036854775807"), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(Element<uint64_t>("UINT64", "18446744073709551615"),
            std::numeric_limits<uint64_t>::max());
}

TEST(PaddingValueTest, BooleansAreNumbersOrWords) {
  EXPECT_EQ(Element<uint8_t>("BOOL", "true"), 1);
  EXPECT_EQ(Element<uint8_t>("BOOL", "1"), 1);
  EXPECT_EQ(Element<uint8_t>("BOOL", "false"), 0);
  EXPECT_EQ(Element<uint8_t>("BOOL", "0"), 0);
}

TEST(PaddingValueTest, FloatsAreWrittenAsInYaml) {
  EXPECT_EQ(Element<double>("FP64", "-1e-300"), -1e-300);
  EXPECT_EQ(Element<float>("FP32", "0.1"), 0.1F);
  EXPECT_EQ(Element<float>("FP32", "3"), 3);
  EXPECT_EQ(Element<float>("FP32", "-.inf"), -std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::isnan(Element<double>("FP64", ".nan")));
}

// Made with torch: torch.tensor(VALUE, dtype=torch.float16).view(torch.int16).
TEST(PaddingValueTest, HalfPrecisionIsRoundedToTheNearest) {
  const std::vector<std::pair<std::string, uint16_t>> values = {
      {"0", 0x0000},        {"-0.0", 0x8000},          {"1", 0x3c00},
      {"-2.5", 0xc100},     {"0.1", 0x2e66},           {"65504", 0x7bff},
      {"65519", 0x7bff},    {"1.00048828125", 0x3c00}, {"1.00146484375", 0x3c02},
      {"6e-8", 0x0001},     {"2e-8", 0x0000},          {"6.1e-5", 0x03ff},
      {"6.103e-5", 0x0400}, {".inf", 0x7c00},          {"-.inf", 0xfc00},
      {"2047.5", 0x6800},
  };
  for (const auto& [text, bits] : values) {
    EXPECT_EQ(Element<uint16_t>("FP16", text), bits) << text;
  }
}

TEST(PaddingValueTest, BrainFloatIsRoundedToTheNearest) {
  const std::vector<std::pair<std::string, uint16_t>> values = {
      {"0", 0x0000},     {"1", 0x3f80},     {"-0.1", 0xbdcd},       {"3.3e38", 0x7f78},
      {"1e-40", 0x0001}, {"-.inf", 0xff80}, {"1.00390625", 0x3f80}, {".nan", 0x7fc0},
  };
  for (const auto& [text, bits] : values) {
    EXPECT_EQ(Element<uint16_t>("BF16", text), bits) << text;
  }
}

TEST(PaddingValueTest, WhatDoesNotFitIsNamedWithTheDatatype) {
  const std::vector<std::pair<std::string, std::string>> mistakes = {
      {"INT64", "0.5"},   {"INT64", "9223372036854775808"},
      {"UINT8", "300"},   {"UINT32", "-1"},
      {"INT8", "128"},    {"BOOL", "2"},
      {"BOOL", "yes"},    {"FP16", "65520"},
      {"BF16", "3.4e38"}, {"FP32", "1e39"},
      {"FP64", "1e999"},  {"FP32", "zero"},
      {"FP32", ""},       {"INT64", "1 "},
  };
  for (const auto& [datatype, text] : mistakes) {
    const Status status = PaddingElement(text, *DataTypeNamed(datatype)).status();
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << datatype << " " << text;
    EXPECT_THAT(status.message(), HasSubstr("'" + text + "' does not fit " + datatype));
  }
}

}  // namespace
}  // namespace torchdeploy::server
