// Tests of how long a request lives.
#include "server/infer_messages.h"

#include <memory>

#include <gtest/gtest.h>

#include "server/serving_gate.h"

#include "open_inference_grpc.pb.h"

namespace torchdeploy::server {
namespace {

TEST(InferMessagesTest, TheRequestOutlivesTheCallWhileATensorRefersToIt) {
  InferMessageAllocator allocator;
  InferMessages* const messages = allocator.AllocateMessages();
  messages->request()->set_model_name("kept");
  std::shared_ptr<const inference::ModelInferRequest> kept = messages->shared_request();
  const std::weak_ptr<const inference::ModelInferRequest> watched = kept;
  messages->Release();
  EXPECT_EQ(kept->model_name(), "kept");
  kept.reset();
  EXPECT_TRUE(watched.expired());
}

TEST(InferMessagesTest, TheGateIsEmptyOnceTheCallHasEnded) {
  ServingGate gate;
  gate.Open();
  InferMessageAllocator allocator;
  InferMessages* const messages = allocator.AllocateMessages();
  messages->Hold(*gate.Enter(0));
  messages->Release();
  gate.CloseAndWait();
  EXPECT_EQ(gate.state(), ServingGate::State::kClosed);
}

}  // namespace
}  // namespace torchdeploy::server
