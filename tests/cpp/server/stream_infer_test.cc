// Many inferences on one stream, over real sockets.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "open_inference_grpc.grpc.pb.h"
#include "open_inference_grpc.pb.h"
#include "tests/cpp/runtime/fake_pool.h"
#include "tests/cpp/server/running_server.h"

namespace torchdeploy::server {
namespace {

using inference::ModelStreamInferResponse;
using testing::HasSubstr;
using testing::IsEmpty;

ModelInferRequest Named(ModelInferRequest request, const std::string& id) {
  request.set_id(id);
  return request;
}

ModelInferRequest Echo(const std::string& id, float element = 1) {
  ModelInferRequest request = RequestTo("echo");
  AddRaw(request, "x", "FP32", {1}, RawFloats({element}));
  return Named(request, id);
}

ModelInferRequest Hang(const std::string& id) {
  ModelInferRequest request = RequestTo("hang");
  AddRaw(request, "x", "FP32", {1}, RawFloats({1}));
  return Named(request, id);
}

bool IsFinal(const ModelStreamInferResponse& response) {
  return response.infer_response().parameters().at("triton_final_response").bool_param();
}

class StreamInferTest : public testing::Test {
 protected:
  // One stream of a client.
  struct Stream {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReaderWriter<ModelInferRequest, ModelStreamInferResponse>> ends;

    ModelStreamInferResponse Read() {
      ModelStreamInferResponse response;
      EXPECT_TRUE(ends->Read(&response)) << "the stream has ended";
      return response;
    }
    // What is left unread is dropped.
    grpc::Status Finish() {
      ends->WritesDone();
      ModelStreamInferResponse response;
      while (ends->Read(&response)) {
      }
      return ends->Finish();
    }
  };

  void SetUp() override {
    running_.AddWithInputs("echo", {"x"});
    running_.AddWithInputs("hang", {"x"});
    running_.AddWithInputs("loop", {});
    running_.AddWithInputs("fail", {"message"});
    running_.Listen(2);
    running_.Load();
  }

  std::unique_ptr<Stream> Open(bool ends_at_error = false) {
    auto stream = std::make_unique<Stream>();
    SetDeadline(stream->context);
    if (ends_at_error) {
      stream->context.AddMetadata("triton_grpc_error", "true");
    }
    stream->ends = running_.stub().ModelStreamInfer(&stream->context);
    return stream;
  }

  RunningServer running_;
};

TEST_F(StreamInferTest, EachRequestIsAnsweredOnceWithItsIdAndItsData) {
  constexpr int kRequests = 1000;  // More than one stream may have under way.
  const auto stream = Open();
  std::thread writer([&] {
    for (int i = 0; i < kRequests; ++i) {
      ASSERT_TRUE(stream->ends->Write(Echo(std::to_string(i), static_cast<float>(i))));
    }
    stream->ends->WritesDone();
  });
  std::set<std::string> ids;
  ModelStreamInferResponse response;
  while (stream->ends->Read(&response)) {
    ASSERT_THAT(response.error_message(), IsEmpty());
    EXPECT_TRUE(IsFinal(response));
    const ModelInferResponse& answer = response.infer_response();
    EXPECT_EQ(answer.model_name(), "echo");
    EXPECT_EQ(answer.raw_output_contents(0), RawFloats({std::stof(answer.id())}));
    EXPECT_TRUE(ids.insert(answer.id()).second) << answer.id();
  }
  writer.join();
  EXPECT_TRUE(stream->ends->Finish().ok());
  EXPECT_EQ(ids.size(), kRequests);
}

TEST_F(StreamInferTest, AnAnswerDoesNotWaitForTheRequestsBefore) {
  const auto stream = Open();
  stream->ends->Write(Hang("slow"));
  AwaitHanging(1);
  stream->ends->Write(Echo("quick"));
  EXPECT_EQ(stream->Read().infer_response().id(), "quick");
  ReleaseHanging();
  EXPECT_EQ(stream->Read().infer_response().id(), "slow");
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(StreamInferTest, AFailedRequestIsAnAnswerAndTheStreamGoesOn) {
  const auto stream = Open();
  stream->ends->Write(Named(RequestTo("nobody"), "unknown"));
  const ModelStreamInferResponse unknown = stream->Read();
  EXPECT_THAT(unknown.error_message(), HasSubstr("nobody"));
  EXPECT_EQ(unknown.infer_response().id(), "unknown");
  EXPECT_TRUE(IsFinal(unknown));
  ModelInferRequest bad = Echo("bad");
  bad.mutable_raw_input_contents(0)->pop_back();
  stream->ends->Write(bad);
  EXPECT_THAT(stream->Read().error_message(), HasSubstr("3 bytes of raw contents"));
  stream->ends->Write(Echo("good"));
  EXPECT_THAT(stream->Read().error_message(), IsEmpty());
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(StreamInferTest, AFailedRequestEndsTheStreamOfAClientThatAsksForIt) {
  const auto stream = Open(/*ends_at_error=*/true);
  stream->ends->Write(Echo("good"));
  EXPECT_EQ(stream->Read().infer_response().id(), "good");
  stream->ends->Write(Named(RequestTo("loop"), "endless"));
  stream->ends->Write(Named(RequestTo("nobody"), "unknown"));
  const grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(), HasSubstr("nobody"));
  for (int i = 0; i < 3; ++i) {  // The interpreters are free again.
    EXPECT_TRUE(running_.Infer(Echo("next")).status.ok());
  }
}

TEST_F(StreamInferTest, AFailureIsNotLostWhenTheClientHasSaidAllBefore) {
  for (int i = 0; i < 200; ++i) {
    const auto stream = Open(/*ends_at_error=*/true);
    ModelInferRequest failing = RequestTo("fail");
    AddRaw(failing, "message", "BYTES", {1}, RawByteStrings({"no"}));
    stream->ends->Write(Echo("good"));
    stream->ends->Write(failing);
    const grpc::Status status = stream->Finish();
    ASSERT_EQ(status.error_code(), grpc::StatusCode::UNKNOWN);
    ASSERT_THAT(status.error_message(), HasSubstr("no"));
  }
}

TEST_F(StreamInferTest, AVeryLongIdIsRefusedAndNotSentBack) {
  const auto stream = Open();
  stream->ends->Write(Named(RequestTo("nobody"), std::string(1 << 20, 'i')));
  const ModelStreamInferResponse unknown = stream->Read();
  EXPECT_THAT(unknown.error_message(), HasSubstr("nobody"));
  EXPECT_THAT(unknown.infer_response().id(), IsEmpty());
  stream->ends->Write(Echo(std::string(1 << 20, 'i')));
  EXPECT_THAT(stream->Read().error_message(), HasSubstr("1048576 bytes; 65536 are the most"));
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(StreamInferTest, WhatAClientHasAskedForEndsWhenItGivesUp) {
  const auto stream = Open();
  for (int i = 0; i < 6; ++i) {  // Some run, the others wait.
    stream->ends->Write(Named(RequestTo("loop"), std::to_string(i)));
  }
  stream->ends->Write(Named(RequestTo("nobody"), "last"));
  stream->Read();  // All have arrived.
  stream->context.TryCancel();
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(running_.Infer(Echo("next")).status.ok());
}

TEST_F(StreamInferTest, AnEmptyStreamEndsWell) {
  EXPECT_TRUE(Open()->Finish().ok());
}

TEST_F(StreamInferTest, AClientThatDoesNotReadIsNotReadFrom) {
  constexpr int kElements = 1 << 18;
  ModelInferRequest large = RequestTo("echo");
  AddRaw(large, "x", "FP32", {kElements}, std::string(sizeof(float) * kElements, '\0'));
  const auto stream = Open();
  std::atomic<int> written = 0;
  std::thread writer([&] {
    while (stream->ends->Write(large)) {
      ++written;
    }
  });
  int before = -1;
  Eventually([&] {  // It stands still.
    const int now = written;
    const bool stands = now == before && now > 0;
    before = now;
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    return stands;
  });
  EXPECT_GT(written, 60);
  EXPECT_LT(written, 400);
  stream->context.TryCancel();
  writer.join();
  EXPECT_TRUE(running_.Infer(Echo("next")).status.ok());
}

TEST_F(StreamInferTest, DrainAnswersWhatWasAskedAndEndsTheStream) {
  const auto stream = Open();
  stream->ends->Write(Hang("slow"));
  AwaitHanging(1);
  std::thread drain([&] { running_.server().Drain(); });
  ModelStreamInferResponse refused;
  int refusals = 0;
  Eventually([&] {  // Until the drain has begun, it is answered.
    stream->ends->Write(Echo("late"));
    refused = stream->Read();
    refusals += refused.error_message().empty() ? 0 : 1;
    return refusals > 0;
  });
  EXPECT_THAT(refused.error_message(), HasSubstr("stopping"));
  ReleaseHanging();
  EXPECT_EQ(stream->Read().infer_response().id(), "slow");
  drain.join();
  EXPECT_FALSE(stream->Finish().ok());
}

}  // namespace
}  // namespace torchdeploy::server
