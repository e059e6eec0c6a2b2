// Tests of how a result becomes a response.
#include "server/response_encoder.h"

#include <array>
#include <bit>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <dlpack/dlpack.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "torchdeploy/manifest.h"
#include "torchdeploy/status.h"
#include "torchdeploy/tensor.h"
#include "torchdeploy/value.h"

#include "tests/cpp/runtime/fake_pool.h"
#include "tests/cpp/server/running_server.h"

namespace torchdeploy::server {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

ModelInferRequest Asking(const std::vector<std::string>& outputs) {
  ModelInferRequest request;
  for (const std::string& name : outputs) {
    request.add_outputs()->set_name(name);
  }
  return request;
}

ModelInferResponse Encoded(const Value& result, const std::vector<std::string>& asked = {}) {
  ModelInferResponse response;
  const Status status = EncodeResponse(result, {}, Asking(asked), {}, &response);
  EXPECT_TRUE(status.ok()) << status.ToString();
  return response;
}

Status Refused(const Value& result) {
  ModelInferResponse response;
  return EncodeResponse(result, {}, Asking({}), {}, &response);
}

void ExpectScalar(const Value& number, const std::string& datatype, const std::string& raw) {
  const ModelInferResponse response = Encoded(number);
  ASSERT_EQ(response.outputs_size(), 1);
  EXPECT_EQ(response.outputs(0).datatype(), datatype);
  EXPECT_THAT(ShapeOf(response.outputs(0)), IsEmpty());
  EXPECT_EQ(response.raw_output_contents(0), raw);
}

// One float, seen as a tensor of this type and shape by strides of 0.
Tensor Expanded(DLDataType dtype, std::vector<int64_t> shape) {
  struct Owned {
    std::vector<int64_t> shape;
    std::vector<int64_t> strides;
    std::array<char, 16> data{};
    DLManagedTensorVersioned managed{};
  };
  auto owned = std::make_unique<Owned>();
  owned->strides.resize(shape.size());
  owned->shape = std::move(shape);
  DLTensor& dl = owned->managed.dl_tensor;
  dl.data = owned->data.data();
  dl.device = {kDLCPU, 0};
  dl.dtype = dtype;
  dl.ndim = static_cast<int32_t>(owned->shape.size());
  dl.shape = owned->shape.data();
  dl.strides = owned->strides.data();
  owned->managed.version = {DLPACK_MAJOR_VERSION, DLPACK_MINOR_VERSION};
  owned->managed.manager_ctx = owned.get();
  owned->managed.deleter = [](DLManagedTensorVersioned* self) {
    const std::unique_ptr<Owned> freed(static_cast<Owned*>(self->manager_ctx));
  };
  return Tensor::FromDLPack(&owned.release()->managed);
}

TEST(ResponseEncoderTest, NumbersAreTensorsWithoutDimensions) {
  ExpectScalar(true, "BOOL", "\x01");
  ExpectScalar(-2, "INT64", "\xfe\xff\xff\xff\xff\xff\xff\xff");
  ExpectScalar(1.0, "FP64", std::string("\0\0\0\0\0\0\xf0\x3f", 8));
}

TEST(ResponseEncoderTest, TextIsBytesOfShapeOne) {
  const ModelInferResponse response = Encoded("text");
  EXPECT_EQ(response.outputs(0).datatype(), "BYTES");
  EXPECT_THAT(ShapeOf(response.outputs(0)), ElementsAre(1));
  EXPECT_EQ(response.raw_output_contents(0), RawByteStrings({"text"}));
}

TEST(ResponseEncoderTest, DeclaredTextWithoutElementsIsBytesOfShapeZero) {
  const std::vector<TensorSpec> declared = {{"text", "BYTES", {}}};
  ModelInferResponse response;
  ASSERT_TRUE(EncodeResponse(Dict{{"text", List{}}}, declared, Asking({}), {}, &response).ok());
  ASSERT_EQ(response.outputs_size(), 1);
  EXPECT_EQ(response.outputs(0).datatype(), "BYTES");
  EXPECT_THAT(ShapeOf(response.outputs(0)), ElementsAre(0));
  EXPECT_THAT(response.raw_output_contents(0), IsEmpty());
}

TEST(ResponseEncoderTest, DeclaredTextThatIsNoneIsRefused) {
  const std::vector<TensorSpec> declared = {{"text", "BYTES", {}}};
  ModelInferResponse response;
  const Status status =
      EncodeResponse(Dict{{"text", List{1}}}, declared, Asking({}), {}, &response);
  EXPECT_EQ(status.code(), Code::kInternal);
  EXPECT_THAT(status.message(), AllOf(HasSubstr("'text'"), HasSubstr("no text")));
}

TEST(ResponseEncoderTest, AStridedTensorIsSentInRowMajorOrder) {
  const ModelInferResponse response = Encoded(Expanded({kDLUInt, 8, 1}, {2, 3}));
  EXPECT_THAT(ShapeOf(response.outputs(0)), ElementsAre(2, 3));
  EXPECT_EQ(response.raw_output_contents(0), std::string(6, '\0'));
}

// Comparing each with each would take minutes.
TEST(ResponseEncoderTest, VeryManyOutputsAreFoundByTheirNamesAtOnce) {
  constexpr size_t kCount = 100'000;
  Dict result;
  std::vector<std::string> names;
  for (size_t i = 0; i < kCount; ++i) {
    names.push_back(std::string("output with a common beginning ") + std::to_string(i));
    result.emplace_back(names.back(), 1);
  }
  EXPECT_EQ(Encoded(result, names).outputs_size(), kCount);
}

TEST(ResponseEncoderTest, OutputsThatAreAskedForComeInTheOrderOfTheResult) {
  const ModelInferResponse response = Encoded(Dict{{"a", 1}, {"b", 2}, {"c", 3}}, {"c", "a"});
  ASSERT_EQ(response.outputs_size(), 2);
  EXPECT_EQ(response.outputs(0).name(), "a");
  EXPECT_EQ(response.outputs(1).name(), "c");
  EXPECT_EQ(response.raw_output_contents_size(), 2);
}

TEST(ResponseEncoderTest, AnOutputThatNobodyAskedForMayBeOneThatCannotBeSent) {
  EXPECT_EQ(Encoded(Dict{{"a", 1}, {"b", Device{"cpu"}}}, {"a"}).outputs_size(), 1);
}

TEST(ResponseEncoderTest, WhatTheProtocolCannotCarryIsNamed) {
  struct Case {
    Value value;
    std::string said;
  };
  const std::vector<Case> cases = {
      {std::complex<double>(1, 2), "neither a tensor nor a number nor text"},
      {Device{"cpu"}, "neither a tensor nor a number nor text"},
      {Expanded({kDLComplex, 64, 1}, {1}), "complex64"},
      {Expanded({kDLFloat, 8, 1}, {1}), "no datatype"},
      {List{List{"a"}, List{"b", "c"}}, "equal length"}};
  for (const Case& refused : cases) {
    const Status status = Refused(Dict{{"odd", refused.value}});
    EXPECT_EQ(status.code(), Code::kInternal);
    EXPECT_THAT(status.message(), AllOf(HasSubstr("'odd'"), HasSubstr(refused.said)));
  }
}

TEST(ResponseEncoderTest, TwoOutputsOfOneNameAreRefused) {
  const Status status = Refused(Dict{{"1", 1}, {1, 2}});
  EXPECT_EQ(status.code(), Code::kInternal);
  EXPECT_THAT(status.message(), HasSubstr("'1'"));
}

TEST(ResponseEncoderTest, MoreThanAMessageCanHoldIsRefusedBeforeItIsCopied) {
  const Status status = Refused(Expanded({kDLUInt, 8, 1}, {int64_t{1} << 40}));
  EXPECT_EQ(status.code(), Code::kResourceExhausted);
  EXPECT_THAT(status.message(), HasSubstr("1099511627776 bytes"));
}

}  // namespace
}  // namespace torchdeploy::server
