// Tests of the standard health protocol.
#include <memory>
#include <string>

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "health.grpc.pb.h"
#include "health.pb.h"
#include "tests/cpp/server/running_server.h"

namespace torchdeploy::server {
namespace {

using grpc::health::v1::Health;
using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

HealthCheckRequest RequestFor(const std::string& service) {
  HealthCheckRequest request;
  request.set_service(service);
  return request;
}

class HealthTest : public testing::Test {
 protected:
  void SetUp() override {
    running_.Add("model", "1", "");
    running_.Listen();
    stub_ = Health::NewStub(running_.NewChannel());
  }

  HealthCheckResponse::ServingStatus Check(const std::string& service) {
    grpc::ClientContext context;
    SetDeadline(context);
    HealthCheckResponse response;
    const grpc::Status status = stub_->Check(&context, RequestFor(service), &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.status();
  }

  RunningServer running_;
  std::unique_ptr<Health::Stub> stub_;
};

TEST_F(HealthTest, CheckSaysServingOnceModelsAreLoaded) {
  for (const char* service : {"", "model", "inference.GRPCInferenceService"}) {
    EXPECT_EQ(Check(service), HealthCheckResponse::NOT_SERVING) << service;
  }
  running_.Load();
  for (const char* service : {"", "model", "inference.GRPCInferenceService"}) {
    EXPECT_EQ(Check(service), HealthCheckResponse::SERVING) << service;
  }
}

TEST_F(HealthTest, CheckOfAnUnknownServiceIsNotFound) {
  running_.Load();
  grpc::ClientContext context;
  SetDeadline(context);
  HealthCheckResponse response;
  EXPECT_EQ(stub_->Check(&context, RequestFor("unheard"), &response).error_code(),
            grpc::StatusCode::NOT_FOUND);
}

TEST_F(HealthTest, WatchOfAnUnknownServiceSaysSo) {
  grpc::ClientContext context;
  SetDeadline(context);
  const auto reader = stub_->Watch(&context, RequestFor("unheard"));
  HealthCheckResponse response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::SERVICE_UNKNOWN);
  context.TryCancel();
  reader->Finish();
}

class WatchTest : public HealthTest, public testing::WithParamInterface<std::string> {};

TEST_P(WatchTest, FollowsLoadAndDrainWhichDoesNotWaitForIt) {
  grpc::ClientContext context;
  SetDeadline(context);
  const auto reader = stub_->Watch(&context, RequestFor(GetParam()));
  HealthCheckResponse response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::NOT_SERVING);
  running_.Load();
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::SERVING);
  running_.server().Drain();
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::NOT_SERVING);
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_FALSE(reader->Finish().ok());
}

INSTANTIATE_TEST_SUITE_P(Services, WatchTest, testing::Values("", "model"),
                         [](const auto& each) { return each.param.empty() ? "All" : "Model"; });

}  // namespace
}  // namespace torchdeploy::server
