// Tests of how inputs become arguments.
#include "server/request_decoder.h"

#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

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

using testing::ElementsAre;
using testing::HasSubstr;

Result<Arguments> Decode(ModelInferRequest request, const std::optional<Manifest>& manifest = {}) {
  return DecodeRequest(std::make_shared<const ModelInferRequest>(std::move(request)), manifest,
                       SharedMemoryRegions());
}

std::vector<std::string> KeywordsOf(const Arguments& arguments) {
  std::vector<std::string> names;
  for (const auto& [name, value] : arguments.keywords) {
    names.push_back(name);
  }
  return names;
}

ModelInferRequest WithInputs(const std::vector<std::string>& names) {
  ModelInferRequest request;
  for (size_t i = 0; i < names.size(); ++i) {
    AddRaw(request, names[i], "FP32", {1}, RawFloats({static_cast<float>(i)}));
  }
  return request;
}

TEST(RequestDecoderTest, WithoutManifestNumberedInputsArePositionalInTheirNumbersOrder) {
  const auto arguments = Decode(WithInputs({"INPUT__2", "INPUT__0", "INPUT__1"}));
  ASSERT_TRUE(arguments.ok());
  EXPECT_TRUE(arguments->keywords.empty());
  ASSERT_EQ(arguments->positional.size(), 3);
  EXPECT_THAT(ElementsOf(arguments->positional[0]), ElementsAre(1));
  EXPECT_THAT(ElementsOf(arguments->positional[1]), ElementsAre(2));
  EXPECT_THAT(ElementsOf(arguments->positional[2]), ElementsAre(0));
}

TEST(RequestDecoderTest, WithoutManifestOtherNamesAreKeywords) {
  const std::vector<std::vector<std::string>> cases = {
      {"x"},         {"INPUT__0", "x"}, {"INPUT__1"},
      {"INPUT__00"}, {"INPUT__"},       {"INPUT__99999999999999999999"}};
  for (const auto& names : cases) {
    const auto arguments = Decode(WithInputs(names));
    ASSERT_TRUE(arguments.ok());
    EXPECT_TRUE(arguments->positional.empty());
    EXPECT_EQ(KeywordsOf(*arguments), names);
  }
}

TEST(RequestDecoderTest, WithManifestNumberedInputsAreKeywords) {
  Manifest manifest;
  manifest.inputs = {{.name = "INPUT__0", .datatype = "", .shape = {}}};
  const auto arguments = Decode(WithInputs({"INPUT__0"}), manifest);
  ASSERT_TRUE(arguments.ok());
  EXPECT_THAT(KeywordsOf(*arguments), ElementsAre("INPUT__0"));
}

TEST(RequestDecoderTest, NoInputsAreNoArguments) {
  const auto arguments = Decode(ModelInferRequest());
  ASSERT_TRUE(arguments.ok());
  EXPECT_TRUE(arguments->positional.empty());
  EXPECT_TRUE(arguments->keywords.empty());
}

TEST(RequestDecoderTest, ARawTensorIsAViewThatKeepsTheRequestAlive) {
  auto request = std::make_shared<ModelInferRequest>();
  AddRaw(*request, "x", "FP32", {2}, RawFloats({1, 2}));
  const char* const bytes = request->raw_input_contents(0).data();
  const std::weak_ptr<const ModelInferRequest> watched = request;
  auto arguments = DecodeRequest(request, {}, SharedMemoryRegions());
  ASSERT_TRUE(arguments.ok());
  std::optional<Value> kept = arguments->keywords[0].second;
  arguments->keywords.clear();
  request.reset();

  EXPECT_FALSE(watched.expired());
  EXPECT_EQ(kept->get<Tensor>()->data(), bytes);
  EXPECT_THAT(ElementsOf(*kept), ElementsAre(1, 2));
  kept.reset();
  EXPECT_TRUE(watched.expired());
}

TEST(RequestDecoderTest, EmptyByteStringsThatWouldBeTooManyListsAreRefused) {
  ModelInferRequest request;
  AddRaw(request, "x", "BYTES", {1'000'000'000'000, 0}, "");
  const auto arguments = Decode(request);
  ASSERT_FALSE(arguments.ok());
  EXPECT_EQ(arguments.status().code(), Code::kInvalidArgument);
  EXPECT_THAT(arguments.status().message(), HasSubstr("[1000000000000, 0]"));
}

TEST(RequestDecoderTest, EmptyByteStringsOfFewListsAreTaken) {
  ModelInferRequest request;
  AddRaw(request, "x", "BYTES", {2, 0, 1'000'000'000'000}, "");
  const auto arguments = Decode(request);
  ASSERT_TRUE(arguments.ok()) << arguments.status().ToString();
  EXPECT_EQ(arguments->keywords[0].second.get<List>()->size(), 2);
}

TEST(RequestDecoderTest, ByteStringsInManyMoreListsThanElementsAreRefused) {
  constexpr int64_t kElements = 1 << 15;
  ModelInferRequest request;
  AddRaw(request, "x", "BYTES", {kElements, 1, 1}, std::string(4 * kElements, '\0'));
  EXPECT_TRUE(Decode(request).ok());
  while (request.inputs(0).shape_size() < 64) {
    request.mutable_inputs(0)->add_shape(1);
  }
  const auto arguments = Decode(request);
  ASSERT_FALSE(arguments.ok());
  EXPECT_EQ(arguments.status().code(), Code::kInvalidArgument);
  EXPECT_THAT(arguments.status().message(), HasSubstr("'x' has shape [32768, 1, 1, "));
}

TEST(RequestDecoderTest, AsManyDimensionsAsTorchHasAreTaken) {
  ModelInferRequest request;
  AddRaw(request, "x", "BYTES", std::vector<int64_t>(64, 1), RawByteStrings({"deep"}));
  EXPECT_TRUE(Decode(request).ok());
  request.mutable_inputs(0)->add_shape(1);
  const auto arguments = Decode(request);
  ASSERT_FALSE(arguments.ok());
  EXPECT_THAT(arguments.status().message(), HasSubstr("'x' has 65 dimensions; 64"));
}

TEST(RequestDecoderTest, UnknownParametersAreAccepted) {
  ModelInferRequest request = WithInputs({"x"});
  (*request.mutable_parameters())["triton_enable_empty_final_response"].set_bool_param(true);
  (*request.mutable_inputs(0)->mutable_parameters())["anything"].set_string_param("else");
  EXPECT_TRUE(Decode(request).ok());
}

}  // namespace
}  // namespace torchdeploy::server
