// Tests of what the server answers to requests that it cannot serve.
#include <cstdint>
#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "open_inference_grpc.pb.h"
#include "tests/cpp/server/running_server.h"

namespace torchdeploy::server {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

// Typed input of shape [1].
ModelInferRequest Typed(const std::string& datatype,
                        const std::function<void(inference::InferTensorContents&)>& fill) {
  ModelInferRequest request = RequestTo("echo");
  fill(*AddInput(request, "x", datatype, {1}).mutable_contents());
  return request;
}

ModelInferRequest Raw(const std::string& model, const std::string& datatype,
                      const std::vector<int64_t>& shape, const std::string& raw) {
  ModelInferRequest request = RequestTo(model);
  AddRaw(request, "x", datatype, shape, raw);
  return request;
}

struct ErrorCase {
  std::string name;
  grpc::StatusCode code;
  std::vector<std::string> said;
  std::function<ModelInferRequest()> request;
};

void PrintTo(const ErrorCase& error_case, std::ostream* out) {
  *out << error_case.name;
}

constexpr auto kInvalid = grpc::StatusCode::INVALID_ARGUMENT;
constexpr auto kNotFound = grpc::StatusCode::NOT_FOUND;

std::vector<ErrorCase> NameCases() {
  return {
      {"UnknownModel",
       kNotFound,
       {"'unheard'", "echo, plain, strict"},
       [] { return RequestTo("unheard"); }},
      {"UnknownVersion",
       kNotFound,
       {"'echo'", "'7'", "it has: 1"},
       [] {
         ModelInferRequest request = RequestTo("echo");
         request.set_model_version("7");
         return request;
       }},
      {"MissingInput", kInvalid, {"'x'", "missing"}, [] { return RequestTo("strict"); }},
      {"UnknownInput",
       kInvalid,
       {"'z'", "unknown", "takes: x"},
       [] {
         ModelInferRequest request = Raw("strict", "FP32", {0, 2}, "");
         AddRaw(request, "z", "FP32", {1}, RawFloats({1}));
         return request;
       }},
      {"DuplicateInput",
       kInvalid,
       {"'x'", "twice"},
       [] {
         ModelInferRequest request = Raw("echo", "FP32", {1}, RawFloats({1}));
         AddRaw(request, "x", "FP32", {1}, RawFloats({2}));
         return request;
       }},
      {"UnknownRequestedOutput",
       kInvalid,
       {"'z'", "unknown", "gives: x"},
       [] {
         ModelInferRequest request = Raw("echo", "FP32", {1}, RawFloats({1}));
         request.add_outputs()->set_name("z");
         return request;
       }},
      {"PriorityThatIsNoInteger",
       kInvalid,
       {"'priority'", "high", "uint64_param"},
       [] {
         ModelInferRequest request = Raw("echo", "FP32", {1}, RawFloats({1}));
         (*request.mutable_parameters())["priority"].set_string_param("high");
         return request;
       }},
      {"NegativeTimeout",
       kInvalid,
       {"'timeout'", "-1"},
       [] {
         ModelInferRequest request = Raw("echo", "FP32", {1}, RawFloats({1}));
         (*request.mutable_parameters())["timeout"].set_int64_param(-1);
         return request;
       }},
  };
}

std::vector<ErrorCase> ShapeCases() {
  return {
      {"WrongDatatype",
       kInvalid,
       {"'x'", "INT32", "FP32 is expected"},
       [] { return Raw("strict", "INT32", {1, 2}, std::string(8, '\0')); }},
      {"WrongRank",
       kInvalid,
       {"'x'", "[2]", "[-1, 2]"},
       [] { return Raw("strict", "FP32", {2}, RawFloats({1, 2})); }},
      {"WrongExtent",
       kInvalid,
       {"'x'", "[1, 3]", "[-1, 2]"},
       [] { return Raw("strict", "FP32", {1, 3}, RawFloats({1, 2, 3})); }},
      {"NegativeExtent",
       kInvalid,
       {"'x'", "[-1, 2]", "negative"},
       [] { return Raw("echo", "FP32", {-1, 2}, RawFloats({1, 2})); }},
      {"OverflowingExtents",
       kInvalid,
       {"'x'", "[4294967296, 4294967296]", "overflows"},
       [] { return Raw("echo", "FP32", {1LL << 32, 1LL << 32}, ""); }},
      {"OverflowThatWrapsToZero",
       kInvalid,
       {"overflows"},
       [] { return Raw("echo", "FP64", {1LL << 61}, ""); }},
      {"OverflowBesideAZero",
       kInvalid,
       {"overflows"},
       [] { return Raw("echo", "FP32", {0, 1LL << 32, 1LL << 32}, ""); }},
      {"ManyDimensions",
       kInvalid,
       {"'x'", "100000 dimensions", "64"},
       [] { return Raw("echo", "BYTES", std::vector<int64_t>(100000, 1), RawByteStrings({""})); }},
      {"EndlessEmptyLists",
       kInvalid,
       {"'x'", "[1099511627776, 0]"},
       [] { return Raw("echo", "BYTES", {1LL << 40, 0}, ""); }},
      {"UnknownDatatype",
       kInvalid,
       {"'x'", "'FLOAT32'", "FP32", "BYTES"},
       [] { return Raw("echo", "FLOAT32", {1}, RawFloats({1})); }},
  };
}

std::vector<ErrorCase> RawCases() {
  return {
      {"RawTooShort",
       kInvalid,
       {"'x'", "4 bytes", "FP32", "[2]", "takes 8"},
       [] { return Raw("echo", "FP32", {2}, RawFloats({1})); }},
      {"RawTooLong",
       kInvalid,
       {"'x'", "5 bytes", "takes 4"},
       [] { return Raw("echo", "FP32", {1}, RawFloats({1}) + "x"); }},
      {"RawContentsForAnEmptyTensor",
       kInvalid,
       {"'x'", "4 bytes", "takes 0"},
       [] { return Raw("echo", "FP32", {0}, RawFloats({1})); }},
      {"FewerRawContentsThanInputs",
       kInvalid,
       {"1 raw contents for 2 inputs"},
       [] {
         ModelInferRequest request = Raw("plain", "FP32", {1}, RawFloats({1}));
         AddInput(request, "y", "FP32", {1});
         return request;
       }},
      {"MoreRawContentsThanInputs",
       kInvalid,
       {"2 raw contents for 1 inputs"},
       [] {
         ModelInferRequest request = Raw("echo", "FP32", {1}, RawFloats({1}));
         request.add_raw_input_contents("more");
         return request;
       }},
      {"RawAndTyped",
       kInvalid,
       {"'y'", "typed contents", "raw contents"},
       [] {
         ModelInferRequest request = Raw("plain", "FP32", {1}, RawFloats({1}));
         AddRaw(request, "y", "FP32", {1}, RawFloats({1}));
         request.mutable_inputs(1)->mutable_contents()->add_fp32_contents(1);
         return request;
       }},
      {"LengthPastTheEnd",
       kInvalid,
       {"'x'", "element 1", "past the end"},
       [] { return Raw("echo", "BYTES", {2}, RawByteStrings({"a"}) + "\x7f"); }},
      {"ByteStringsOfAnotherNumber",
       kInvalid,
       {"'x'", "1 elements", "[2]", "holds 2"},
       [] { return Raw("echo", "BYTES", {2}, RawByteStrings({"a"})); }},
      {"BooleanOfOtherByte",
       kInvalid,
       {"'x'", "byte 255", "element 1"},
       [] { return Raw("echo", "BOOL", {2}, "\x01\xff"); }},
  };
}

std::vector<ErrorCase> TypedCases() {
  return {
      {"TypedOfAnotherNumber",
       kInvalid,
       {"'x'", "2 elements in fp32_contents", "holds 1"},
       [] {
         return Typed("FP32", [](auto& contents) {
           contents.add_fp32_contents(1);
           contents.add_fp32_contents(2);
         });
       }},
      {"TypedInAnotherField",
       kInvalid,
       {"'x'", "0 elements in int64_contents", "holds 1"},
       [] { return Typed("INT64", [](auto& contents) { contents.add_int_contents(1); }); }},
      {"NoContentsAtAll",
       kInvalid,
       {"'x'", "0 elements in fp32_contents"},
       [] {
         ModelInferRequest request = RequestTo("echo");
         AddInput(request, "x", "FP32", {1});
         return request;
       }},
      {"TooHighForInt8",
       kInvalid,
       {"'x'", "128", "INT8"},
       [] { return Typed("INT8", [](auto& contents) { contents.add_int_contents(128); }); }},
      {"TooLowForInt8",
       kInvalid,
       {"'x'", "-129", "INT8"},
       [] { return Typed("INT8", [](auto& contents) { contents.add_int_contents(-129); }); }},
      {"TooHighForInt16",
       kInvalid,
       {"'x'", "32768", "INT16"},
       [] { return Typed("INT16", [](auto& contents) { contents.add_int_contents(32768); }); }},
      {"TooHighForUint8",
       kInvalid,
       {"'x'", "256", "UINT8"},
       [] { return Typed("UINT8", [](auto& contents) { contents.add_uint_contents(256); }); }},
      {"TooHighForUint16",
       kInvalid,
       {"'x'", "65536", "UINT16"},
       [] { return Typed("UINT16", [](auto& contents) { contents.add_uint_contents(65536); }); }},
      {"TypedFp16",
       kInvalid,
       {"'x'", "FP16", "raw_input_contents"},
       [] { return Typed("FP16", [](auto& contents) { contents.add_fp32_contents(1); }); }},
      {"TypedBf16",
       kInvalid,
       {"'x'", "BF16", "raw_input_contents"},
       [] { return Typed("BF16", [](auto& contents) { contents.add_fp32_contents(1); }); }},
      {"TypedByteStringsOfAnotherNumber",
       kInvalid,
       {"'x'", "0 elements", "holds 1"},
       [] { return Typed("BYTES", [](auto& /*contents*/) {}); }},
  };
}

class InferErrorsTest : public testing::TestWithParam<ErrorCase> {};

TEST_P(InferErrorsTest, IsRefusedByNameAndTheServerGoesOn) {
  RunningServer running;
  running.Add("plain", "1", "");
  running.Add("strict", "1",
              FakeManifest("double", R"([{"name": "x", "datatype": "FP32", "shape": [-1, 2]}])"));
  running.AddWithInputs("echo", {"x"});
  running.Listen(1);
  running.Load();

  const Answer answer = running.Infer(GetParam().request());
  EXPECT_EQ(answer.status.error_code(), GetParam().code) << answer.status.error_message();
  for (const std::string& said : GetParam().said) {
    EXPECT_THAT(answer.status.error_message(), HasSubstr(said));
  }
  EXPECT_TRUE(running.Infer(Raw("echo", "FP32", {1}, RawFloats({1}))).status.ok());
}

std::string CaseName(const testing::TestParamInfo<ErrorCase>& info) {
  return info.param.name;
}

INSTANTIATE_TEST_SUITE_P(Names, InferErrorsTest, testing::ValuesIn(NameCases()), CaseName);
INSTANTIATE_TEST_SUITE_P(Shapes, InferErrorsTest, testing::ValuesIn(ShapeCases()), CaseName);
INSTANTIATE_TEST_SUITE_P(RawContents, InferErrorsTest, testing::ValuesIn(RawCases()), CaseName);
INSTANTIATE_TEST_SUITE_P(TypedContents, InferErrorsTest, testing::ValuesIn(TypedCases()), CaseName);

class ModelExceptionTest : public testing::Test {
 protected:
  void SetUp() override {
    running_.AddWithInputs("fail", {"message"});
    running_.Listen(1);
    running_.Load();
  }

  Answer Fail(const std::string& message) {
    ModelInferRequest request = RequestTo("fail");
    AddRaw(request, "message", "BYTES", {1}, RawByteStrings({message}));
    return running_.Infer(request);
  }

  RunningServer running_;
};

TEST_F(ModelExceptionTest, ComesWithTypeMessageAndTraceback) {
  const Answer answer = Fail("negative size");
  EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::UNKNOWN);
  EXPECT_EQ(answer.status.error_message(), "ValueError: negative size");
  EXPECT_EQ(answer.error_type, "ValueError");
  EXPECT_THAT(answer.traceback, StartsWith("Traceback (most recent call last):\n"));
  EXPECT_THAT(answer.traceback, EndsWith("ValueError: negative size\n"));
}

TEST_F(ModelExceptionTest, ALongMessageIsCutAndArrives) {
  const Answer answer = Fail(std::string(1'000'000, 'm'));
  EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::UNKNOWN);
  EXPECT_THAT(answer.status.error_message(), StartsWith("ValueError: mmm"));
  EXPECT_THAT(answer.status.error_message(), EndsWith("m..."));
  EXPECT_THAT(answer.traceback, EndsWith("mmm\n"));
}

}  // namespace
}  // namespace torchdeploy::server
