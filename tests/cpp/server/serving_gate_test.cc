// Tests of which inferences are let in, and of the wait for them.
#include "server/serving_gate.h"

#include <chrono>
#include <memory>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "torchdeploy/status.h"

namespace torchdeploy::server {
namespace {

using testing::HasSubstr;

TEST(ServingGateTest, LetsNobodyInBeforeItIsOpenAndAfterItIsClosed) {
  ServingGate gate;
  EXPECT_THAT(gate.Enter(0).status().message(), HasSubstr("loading"));
  gate.Open();
  EXPECT_TRUE(gate.Enter(0).ok());
  EXPECT_TRUE(gate.CloseAndWait());
  EXPECT_EQ(gate.Enter(0).status().code(), Code::kUnavailable);
  gate.Open();
  EXPECT_THAT(gate.Enter(0).status().message(), HasSubstr("stopping"));
}

TEST(ServingGateTest, LetsInNoMoreBytesThanItMayAndSaysHowManyThereAre) {
  ServingGate gate(100);
  gate.Open();
  Result<std::unique_ptr<ServingGate::Pass>> first = gate.Enter(70);
  ASSERT_TRUE(first.ok());
  const Status refused = gate.Enter(31).status();
  EXPECT_EQ(refused.code(), Code::kResourceExhausted);
  EXPECT_THAT(refused.message(), HasSubstr("31 bytes"));
  EXPECT_THAT(refused.message(), HasSubstr("have 70; 100"));
  EXPECT_TRUE(gate.Enter(30).ok());
  *first = nullptr;
  EXPECT_TRUE(gate.Enter(100).ok());
  EXPECT_EQ(gate.Enter(101).status().code(), Code::kResourceExhausted);
}

TEST(ServingGateTest, WaitsNoLongerThanItIsToldTo) {
  ServingGate gate;
  gate.Open();
  Result<std::unique_ptr<ServingGate::Pass>> pass = gate.Enter(0);
  ASSERT_TRUE(pass.ok());
  EXPECT_FALSE(gate.CloseAndWait(std::chrono::steady_clock::now() + std::chrono::milliseconds(1)));
  *pass = nullptr;
  EXPECT_TRUE(gate.CloseAndWait(std::chrono::steady_clock::now()));
}

}  // namespace
}  // namespace torchdeploy::server
