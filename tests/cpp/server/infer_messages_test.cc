// Tests of how the messages of an inference are read and written.
#include "server/infer_messages.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "open_inference_grpc.pb.h"
#include <google/protobuf/util/message_differencer.h>

namespace torchdeploy::server {
namespace {

using google::protobuf::util::MessageDifferencer;
using inference::ModelInferRequest;
using inference::ModelInferResponse;
using inference::ModelStreamInferResponse;

constexpr size_t kLarge = 600'000;

std::string TextOf(const grpc::ByteBuffer& bytes) {
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(bytes.Dump(&slices).ok());
  std::string text;
  for (const grpc::Slice& slice : slices) {
    text.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return text;
}

// Outputs with contents of these sizes, each filled with its own letter.
void Fill(const std::vector<size_t>& sizes, ModelInferResponse& response) {
  response.set_model_name("net");
  response.set_id("7");
  (*response.mutable_parameters())["final"].set_bool_param(true);
  for (const size_t size : sizes) {
    auto* output = response.add_outputs();
    output->set_name("y" + std::to_string(response.outputs_size()));
    output->add_shape(static_cast<int64_t>(size));
    response.add_raw_output_contents(
        std::string(size, static_cast<char>('a' + response.outputs_size())));
  }
}

class ResponseOfSizesTest : public testing::TestWithParam<std::vector<size_t>> {};

TEST_P(ResponseOfSizesTest, IsReadAsItWasMade) {
  const auto response = std::make_shared<ModelInferResponse>();
  Fill(GetParam(), *response);
  ModelInferResponse read;
  ASSERT_TRUE(read.ParseFromString(TextOf(BytesOf(response))));
  EXPECT_TRUE(MessageDifferencer::Equals(read, *response));
}

TEST_P(ResponseOfSizesTest, IsReadAsItWasMadeOnAStream) {
  for (const char* error : {"", "an error"}) {
    const auto response = std::make_shared<ModelStreamInferResponse>();
    response->set_error_message(error);
    Fill(GetParam(), *response->mutable_infer_response());
    ModelStreamInferResponse read;
    ASSERT_TRUE(read.ParseFromString(TextOf(BytesOf(response))));
    EXPECT_TRUE(MessageDifferencer::Equals(read, *response));
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, ResponseOfSizesTest,
                         testing::Values(std::vector<size_t>{}, std::vector<size_t>{0},
                                         std::vector<size_t>{1, 127, 128},
                                         std::vector<size_t>{16383, 16384, 16385},
                                         std::vector<size_t>{kLarge, 3, 0, kLarge, 20'000}));

TEST(InferMessagesTest, LargeContentsAreNotCopied) {
  const auto response = std::make_shared<ModelInferResponse>();
  Fill({3, kLarge}, *response);
  std::vector<grpc::Slice> slices;
  ASSERT_TRUE(BytesOf(response).Dump(&slices).ok());
  const auto* const contents =
      reinterpret_cast<const uint8_t*>(response->raw_output_contents(1).data());
  EXPECT_EQ(slices.back().begin(), contents);
  EXPECT_EQ(slices.back().size(), kLarge);
}

TEST(InferMessagesTest, AResponseLivesUntilGrpcHasSentIt) {
  auto response = std::make_shared<ModelInferResponse>();
  const std::weak_ptr<const ModelInferResponse> watched = response;
  Fill({kLarge}, *response);
  {
    const grpc::ByteBuffer bytes = BytesOf(response);
    response.reset();
    EXPECT_FALSE(watched.expired());
  }
  EXPECT_TRUE(watched.expired());
}

TEST(InferMessagesTest, ARequestIsReadAndItsBytesAreLetGo) {
  ModelInferRequest sent;
  sent.set_model_name("net");
  sent.add_raw_input_contents(std::string(kLarge, 'x'));
  grpc::Slice slice(sent.SerializeAsString());
  grpc::ByteBuffer bytes(&slice, 1);
  slice = grpc::Slice();
  const std::shared_ptr<const ModelInferRequest> read = ReadRequest(bytes);
  EXPECT_FALSE(bytes.Valid());
  ASSERT_NE(read, nullptr);
  EXPECT_TRUE(MessageDifferencer::Equals(*read, sent));
}

TEST(InferMessagesTest, BytesThatAreNoRequestAreNotRead) {
  const grpc::Slice slice("no message");
  grpc::ByteBuffer bytes(&slice, 1);
  EXPECT_EQ(ReadRequest(bytes), nullptr);
}

}  // namespace
}  // namespace torchdeploy::server
