// Tests of errors as a client sees them, over a real socket.
#include "server/status_mapping.h"

#include <memory>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "torchdeploy/status.h"

#include "open_inference_grpc.grpc.pb.h"
#include "open_inference_grpc.pb.h"
#include "tests/cpp/server/running_server.h"

namespace torchdeploy::server {
namespace {

using testing::EndsWith;
using testing::IsEmpty;
using testing::Lt;
using testing::SizeIs;
using testing::StartsWith;

// Answers each ServerLive with one status.
class FailingService final : public inference::GRPCInferenceService::CallbackService {
 public:
  explicit FailingService(Status status) : status_(std::move(status)) {}

  grpc::ServerUnaryReactor* ServerLive(grpc::CallbackServerContext* context,
                                       const inference::ServerLiveRequest* /*request*/,
                                       inference::ServerLiveResponse* /*response*/) override {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(ToGrpcStatus(status_, context));
    return reactor;
  }

 private:
  const Status status_;
};

Answer Sent(const Status& status) {
  FailingService service(status);
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  const auto stub = inference::GRPCInferenceService::NewStub(
      grpc::CreateChannel("127.0.0.1:" + std::to_string(port), grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  SetDeadline(context);
  inference::ServerLiveResponse response;
  Answer answer;
  answer.status = stub->ServerLive(&context, {}, &response);
  answer.error_type = TrailerOf(context, kErrorTypeKey);
  answer.traceback = TrailerOf(context, kTracebackKey);
  return answer;
}

TEST(StatusMappingTest, AnErrorOfOursKeepsCodeAndMessage) {
  const Answer answer = Sent({Code::kNotFound, "model 'x' is unknown"});
  EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(answer.status.error_message(), "model 'x' is unknown");
  EXPECT_THAT(answer.error_type, IsEmpty());
  EXPECT_THAT(answer.traceback, IsEmpty());
}

TEST(StatusMappingTest, APythonExceptionBringsTypeAndTraceback) {
  const Answer answer =
      Sent({Code::kUnknown, "negative size", "ValueError", "Traceback: \xc3\xa9"});
  EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::UNKNOWN);
  EXPECT_EQ(answer.status.error_message(), "ValueError: negative size");
  EXPECT_EQ(answer.error_type, "ValueError");
  EXPECT_EQ(answer.traceback, "Traceback: \xc3\xa9");
}

TEST(StatusMappingTest, LongTextsAreCutAtWholeCharactersAndArrive) {
  std::string letters;
  for (int i = 0; i < 100'000; ++i) {
    letters += "\xe2\x82\xac";
  }
  const Answer answer = Sent({Code::kUnknown, letters, letters, letters + "end"});
  EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::UNKNOWN);
  EXPECT_THAT(answer.status.error_message(), EndsWith("\xe2\x82\xac..."));
  EXPECT_THAT(answer.status.error_message(), SizeIs(Lt(2000)));
  EXPECT_THAT(answer.traceback, StartsWith("...\xe2\x82\xac"));
  EXPECT_THAT(answer.traceback, EndsWith("end"));
  EXPECT_THAT(answer.error_type, EndsWith("%82%AC..."));
}

TEST(StatusMappingTest, ATypeWithOtherLettersIsPercentEncoded) {
  const Answer answer = Sent({Code::kUnknown, "text",
                              "\xc3\x89"
                              "chec%\n",
                              "trace"});
  EXPECT_EQ(answer.status.error_message(),
            "\xc3\x89"
            "chec%\n: text");
  EXPECT_EQ(answer.error_type, "%C3%89chec%25%0A");
}

}  // namespace
}  // namespace torchdeploy::server
