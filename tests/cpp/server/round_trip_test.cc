// Tests that tensors come back bit for bit.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "open_inference_grpc.pb.h"
#include "tests/cpp/server/running_server.h"

namespace torchdeploy::server {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class RoundTripTest : public testing::Test {
 protected:
  void SetUp() override {
    running_.AddWithInputs("echo", {"x"});
    running_.Listen(1);
    running_.Load();
  }

  // The answer to the only input, which must be of the same datatype and shape.
  std::string Echo(const ModelInferRequest& request) {
    const Answer answer = running_.Infer(request);
    EXPECT_TRUE(answer.status.ok()) << answer.status.error_message();
    if (answer.response.raw_output_contents_size() != 1) {
      ADD_FAILURE() << "one output is expected";
      return "";
    }
    const auto& output = answer.response.outputs(0);
    EXPECT_EQ(output.name(), "x");
    EXPECT_EQ(output.datatype(), request.inputs(0).datatype());
    EXPECT_THAT(output.shape(), testing::ElementsAreArray(request.inputs(0).shape()));
    EXPECT_FALSE(output.has_contents());
    return answer.response.raw_output_contents(0);
  }

  std::string EchoRaw(const std::string& datatype, const std::vector<int64_t>& shape,
                      const std::string& raw) {
    ModelInferRequest request = RequestTo("echo");
    AddRaw(request, "x", datatype, shape, raw);
    return Echo(request);
  }

  RunningServer running_;
};

struct RawCase {
  std::string datatype;
  size_t element_bytes;
};

void PrintTo(const RawCase& raw_case, std::ostream* out) {
  *out << raw_case.datatype;
}

class RawRoundTripTest : public RoundTripTest, public testing::WithParamInterface<RawCase> {};

TEST_P(RawRoundTripTest, KeepsEveryBit) {
  constexpr size_t kElements = 256;
  std::string raw(kElements * GetParam().element_bytes, '\0');
  for (size_t i = 0; i < raw.size(); ++i) {
    raw[i] = static_cast<char>(GetParam().datatype == "BOOL" ? i % 2 : i * 37 + i / 256);
  }
  EXPECT_EQ(EchoRaw(GetParam().datatype, {2, 128}, raw), raw);
}

TEST_P(RawRoundTripTest, KeepsATensorWithoutDimensions) {
  const std::string raw(GetParam().element_bytes, '\x01');
  EXPECT_EQ(EchoRaw(GetParam().datatype, {}, raw), raw);
}

TEST_P(RawRoundTripTest, KeepsTheShapeOfATensorWithoutElements) {
  EXPECT_EQ(EchoRaw(GetParam().datatype, {3, 0, 2}, ""), "");
}

INSTANTIATE_TEST_SUITE_P(
    Datatypes, RawRoundTripTest,
    testing::Values(RawCase{"BOOL", 1}, RawCase{"UINT8", 1}, RawCase{"UINT16", 2},
                    RawCase{"UINT32", 4}, RawCase{"UINT64", 8}, RawCase{"INT8", 1},
                    RawCase{"INT16", 2}, RawCase{"INT32", 4}, RawCase{"INT64", 8},
                    RawCase{"FP16", 2}, RawCase{"BF16", 2}, RawCase{"FP32", 4}, RawCase{"FP64", 8}),
    [](const auto& each) { return each.param.datatype; });

struct TypedCase {
  std::string datatype;
  std::function<void(inference::InferTensorContents&)> fill;
  std::string raw;
};

void PrintTo(const TypedCase& typed_case, std::ostream* out) {
  *out << typed_case.datatype;
}

template <typename T>
std::string BytesOf(const std::vector<T>& elements) {
  return {reinterpret_cast<const char*>(elements.data()), elements.size() * sizeof(T)};
}

// The lowest and the highest element, through the field that `add` appends to.
template <typename T>
TypedCase Limits(const std::string& datatype,
                 const std::function<void(inference::InferTensorContents&, T)>& add) {
  const std::vector<T> elements = {std::numeric_limits<T>::lowest(), std::numeric_limits<T>::max()};
  const auto fill = [=](inference::InferTensorContents& contents) {
    for (const T element : elements) {
      add(contents, element);
    }
  };
  return {datatype, fill, BytesOf(elements)};
}

std::vector<TypedCase> TypedCases() {
  const auto booleans = [](auto& contents) {
    contents.add_bool_contents(false);
    contents.add_bool_contents(true);
  };
  const auto floats = [](auto& contents) {
    contents.add_fp32_contents(-0.0F);
    contents.add_fp32_contents(std::nanf("7"));
  };
  const auto doubles = [](auto& contents) {
    contents.add_fp64_contents(-std::numeric_limits<double>::infinity());
    contents.add_fp64_contents(std::nan("7"));
  };
  return {
      {"BOOL", booleans, std::string("\0\x01", 2)},
      Limits<int8_t>("INT8", [](auto& contents, int8_t x) { contents.add_int_contents(x); }),
      Limits<int16_t>("INT16", [](auto& contents, int16_t x) { contents.add_int_contents(x); }),
      Limits<int32_t>("INT32", [](auto& contents, int32_t x) { contents.add_int_contents(x); }),
      Limits<int64_t>("INT64", [](auto& contents, int64_t x) { contents.add_int64_contents(x); }),
      Limits<uint8_t>("UINT8", [](auto& contents, uint8_t x) { contents.add_uint_contents(x); }),
      Limits<uint16_t>("UINT16", [](auto& contents, uint16_t x) { contents.add_uint_contents(x); }),
      Limits<uint32_t>("UINT32", [](auto& contents, uint32_t x) { contents.add_uint_contents(x); }),
      Limits<uint64_t>("UINT64",
                       [](auto& contents, uint64_t x) { contents.add_uint64_contents(x); }),
      {"FP32", floats, BytesOf<float>({-0.0F, std::nanf("7")})},
      {"FP64", doubles, BytesOf<double>({-std::numeric_limits<double>::infinity(), std::nan("7")})},
      {"BYTES",
       [](auto& contents) {
         contents.add_bytes_contents("");
         contents.add_bytes_contents(std::string("a\0b", 3));
       },
       RawByteStrings({"", std::string("a\0b", 3)})},
  };
}

class TypedRoundTripTest : public RoundTripTest, public testing::WithParamInterface<TypedCase> {};

TEST_P(TypedRoundTripTest, KeepsEveryBit) {
  ModelInferRequest request = RequestTo("echo");
  GetParam().fill(*AddInput(request, "x", GetParam().datatype, {2}).mutable_contents());
  EXPECT_EQ(Echo(request), GetParam().raw);
}

INSTANTIATE_TEST_SUITE_P(Datatypes, TypedRoundTripTest, testing::ValuesIn(TypedCases()),
                         [](const auto& each) { return each.param.datatype; });

TEST_F(RoundTripTest, KeepsByteStringsOfEveryShape) {
  const std::string with_nul("\0x\0", 3);
  const std::vector<std::pair<std::vector<int64_t>, std::vector<std::string>>> cases = {
      {{3}, {"", with_nul, "text"}}, {{2, 2}, {"a", "", "\xff\xfe", "d"}}, {{1, 2, 1}, {"a", "b"}}};
  for (const auto& [shape, elements] : cases) {
    const std::string raw = RawByteStrings(elements);
    EXPECT_EQ(EchoRaw("BYTES", shape, raw), raw);
  }
}

TEST_F(RoundTripTest, AByteStringWithoutDimensionsComesBackWithOne) {
  ModelInferRequest request = RequestTo("echo");
  AddRaw(request, "x", "BYTES", {}, RawByteStrings({"scalar"}));
  const Answer answer = running_.Infer(request);
  ASSERT_TRUE(answer.status.ok()) << answer.status.error_message();
  EXPECT_THAT(ShapeOf(answer.response.outputs(0)), ElementsAre(1));
  EXPECT_EQ(answer.response.raw_output_contents(0), RawByteStrings({"scalar"}));
}

TEST_F(RoundTripTest, AnEmptyListOfByteStringsHasNoOutput) {
  ModelInferRequest request = RequestTo("echo");
  AddRaw(request, "x", "BYTES", {0}, "");
  const Answer answer = running_.Infer(request);
  ASSERT_TRUE(answer.status.ok()) << answer.status.error_message();
  EXPECT_THAT(answer.response.outputs(), IsEmpty());
}

TEST_F(RoundTripTest, KeepsMessagesOf32Megabytes) {
  constexpr size_t kBytes = size_t{32} << 20;
  std::string raw(kBytes, '\0');
  for (size_t i = 0; i < kBytes; ++i) {
    raw[i] = static_cast<char>(i * 31 + (i >> 12));
  }
  EXPECT_TRUE(EchoRaw("FP32", {1024, 8192}, raw) == raw);
}

}  // namespace
}  // namespace torchdeploy::server
