// Tests of models that have interpreters for themselves, and of their number while they serve.
#include <atomic>
#include <cstdint>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "server/model_control.h"
#include "server/model_registry.h"
#include "torchdeploy/interpreter_manager.h"

#include "open_inference_grpc.pb.h"
#include "tests/cpp/runtime/fake_pool.h"
#include "tests/cpp/server/running_server.h"

namespace torchdeploy::server {
namespace {

using testing::HasSubstr;

constexpr const char* kFloats = R"([{"name": "x", "datatype": "FP32", "shape": null}])";

class ReservedInterpretersTest : public testing::Test {
 protected:
  void SetUp() override {
    running_.Add("own", "1", FakeManifest("double", kFloats));
    running_.Add("shares", "1", FakeManifest("hang", kFloats));
    Reserve("own", 2);
    running_.Control({.mode = ControlMode::kExplicit, .load_at_start = {"*"}});
    running_.Listen(1);
    running_.Load();
  }

  void Reserve(const std::string& model, int interpreters) const {
    std::ofstream(running_.models() + "/" + model + "/config.yaml")
        << "interpreters: " << interpreters << "\n";
  }

  grpc::Status Ask(const std::string& model) {
    ModelInferRequest request = RequestTo(model);
    AddRaw(request, "x", "FP32", {1, 2}, RawFloats({1, 2}));
    return running_.Infer(request).status;
  }

  int InstancesOf(const std::string& model) {
    grpc::ClientContext context;
    SetDeadline(context);
    inference::ModelConfigRequest request;
    request.set_name(model);
    inference::ModelConfigResponse response;
    EXPECT_TRUE(running_.stub().ModelConfig(&context, request, &response).ok());
    return response.config().instance_group(0).count();
  }

  RunningServer running_;
};

TEST_F(ReservedInterpretersTest, AModelHasThoseThatItReservesAndTheOthersShare) {
  EXPECT_EQ(InstancesOf("own"), 2);
  EXPECT_EQ(InstancesOf("shares"), 1);
  EXPECT_TRUE(Ask("own").ok());
}

TEST_F(ReservedInterpretersTest, WhatFillsTheSharedOnesDoesNotHoldItUp) {
  std::thread hanging([this] { EXPECT_TRUE(Ask("shares").ok()); });
  AwaitHanging(1);
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(Ask("own").ok());
  }
  ReleaseHanging();
  hanging.join();
}

TEST_F(ReservedInterpretersTest, TheirNumberChangesWhileRequestsAreAnswered) {
  std::atomic<bool> is_over = false;
  std::vector<std::thread> clients;
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back([&] {
      while (!is_over) {
        const grpc::Status status = Ask("own");
        EXPECT_TRUE(status.ok()) << status.error_message();
      }
    });
  }
  for (const int interpreters : {4, 1, 3}) {
    Reserve("own", interpreters);
    EXPECT_TRUE(running_.LoadModel("own").ok());
    EXPECT_EQ(InstancesOf("own"), interpreters);
  }
  is_over = true;
  for (std::thread& client : clients) {
    client.join();
  }
}

TEST_F(ReservedInterpretersTest, TheyAreGivenBackWhenTheModelIsReplaced) {
  const std::weak_ptr<const InterpreterManager> first =
      (*running_.server().models().Find("own", ""))->reserved;
  Reserve("own", 1);
  EXPECT_TRUE(running_.LoadModel("own").ok());
  Eventually([&] { return first.expired(); });
  EXPECT_TRUE(Ask("own").ok());
}

TEST_F(ReservedInterpretersTest, ThreadsWithoutInterpretersAreRefused) {
  std::ofstream(running_.models() + "/own/config.yaml") << "intra_op_threads: 2\n";
  const grpc::Status status = running_.LoadModel("own");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("intra_op_threads is 2 without interpreters"));
  EXPECT_EQ(InstancesOf("own"), 2);
}

}  // namespace
}  // namespace torchdeploy::server
