// Tensors in memory that a client shares with the server, over real sockets.
#include <fcntl.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "server/shared_memory_rpcs.h"

#include "open_inference_grpc.grpc.pb.h"
#include "open_inference_grpc.pb.h"
#include "tests/cpp/runtime/fake_pool.h"
#include "tests/cpp/server/running_server.h"
#include <sys/mman.h>
#include <sys/stat.h>

namespace torchdeploy::server {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// What a client makes with shm_open().
class ClientMemory {
 public:
  explicit ClientMemory(off_t size_bytes)
      : key_("/torchdeploy_test_" + std::to_string(getpid())),
        file_(shm_open(key_.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600)) {
    Resize(size_bytes);
  }
  ClientMemory(const ClientMemory&) = delete;
  ClientMemory& operator=(const ClientMemory&) = delete;
  ~ClientMemory() {
    close(file_);
    shm_unlink(key_.c_str());
  }

  [[nodiscard]] const std::string& key() const { return key_; }
  void Resize(off_t size_bytes) const { EXPECT_EQ(ftruncate(file_, size_bytes), 0); }
  void Write(const std::string& bytes, off_t offset) const {
    EXPECT_EQ(pwrite(file_, bytes.data(), bytes.size(), offset), ssize_t(bytes.size()));
  }
  [[nodiscard]] std::string Read(size_t size_bytes, off_t offset) const {
    std::string bytes(size_bytes, '\0');
    EXPECT_EQ(pread(file_, bytes.data(), bytes.size(), offset), ssize_t(size_bytes));
    return bytes;
  }

 private:
  const std::string key_;
  const int file_;
};

constexpr uint64_t kRegionBytes = 64;
constexpr uint64_t kRegionOffset = 16;  // In the client's memory.

class SharedMemoryTest : public testing::Test {
 protected:
  void SetUp() override {
    running_.AddWithInputs("double", {"x"});
    running_.AddWithInputs("echo", {"a", "b"});
    running_.AddWithInputs("hang", {"x"});
    running_.AllowSharedMemory();
    running_.Listen(2);
    running_.Load();
  }

  grpc::Status Register(const std::string& name, const std::string& key,
                        uint64_t offset = kRegionOffset, uint64_t size_bytes = kRegionBytes) {
    grpc::ClientContext context;
    SetDeadline(context);
    inference::SystemSharedMemoryRegisterRequest request;
    request.set_name(name);
    request.set_key(key);
    request.set_offset(offset);
    request.set_byte_size(size_bytes);
    inference::SystemSharedMemoryRegisterResponse response;
    return running_.stub().SystemSharedMemoryRegister(&context, request, &response);
  }

  void Unregister(const std::string& name) {
    grpc::ClientContext context;
    SetDeadline(context);
    inference::SystemSharedMemoryUnregisterRequest request;
    request.set_name(name);
    inference::SystemSharedMemoryUnregisterResponse response;
    EXPECT_TRUE(running_.stub().SystemSharedMemoryUnregister(&context, request, &response).ok());
  }

  grpc::Status StatusOf(const std::string& name,
                        inference::SystemSharedMemoryStatusResponse* response) {
    grpc::ClientContext context;
    SetDeadline(context);
    inference::SystemSharedMemoryStatusRequest request;
    request.set_name(name);
    return running_.stub().SystemSharedMemoryStatus(&context, request, response);
  }

  RunningServer running_;
  ClientMemory memory_{kRegionOffset + kRegionBytes};
};

template <typename Tensor>
void PutInto(const std::string& region, int64_t offset, int64_t size_bytes, Tensor& tensor) {
  auto& parameters = *tensor.mutable_parameters();
  parameters["shared_memory_region"].set_string_param(region);
  parameters["shared_memory_offset"].set_int64_param(offset);
  parameters["shared_memory_byte_size"].set_int64_param(size_bytes);
}

// x: two floats at the region's begin. y: behind them.
ModelInferRequest DoubleRequest(int64_t y_bytes = 8) {
  ModelInferRequest request = RequestTo("double");
  PutInto("r", 0, 8, AddInput(request, "x", "FP32", {2}));
  auto* y = request.add_outputs();
  y->set_name("y");
  PutInto("r", 8, y_bytes, *y);
  return request;
}

TEST_F(SharedMemoryTest, InputsAreReadAndOutputsWrittenThere) {
  ASSERT_TRUE(Register("r", memory_.key()).ok());
  memory_.Write(RawFloats({1.5, -2}), kRegionOffset);
  const Answer answer = running_.Infer(DoubleRequest());
  ASSERT_TRUE(answer.status.ok()) << answer.status.error_message();
  EXPECT_EQ(memory_.Read(8, kRegionOffset + 8), RawFloats({3, -4}));
  EXPECT_THAT(answer.response.raw_output_contents(), ElementsAre(""));
  ASSERT_EQ(answer.response.outputs_size(), 1);
  const auto& y = answer.response.outputs(0);
  EXPECT_THAT(ShapeOf(y), ElementsAre(2));
  EXPECT_EQ(y.parameters().at("shared_memory_region").string_param(), "r");
  EXPECT_EQ(y.parameters().at("shared_memory_byte_size").int64_param(), 8);
}

TEST_F(SharedMemoryTest, OneInputMayBeThereAndAnotherInTheRequest) {
  ASSERT_TRUE(Register("r", memory_.key()).ok());
  const std::string texts = RawByteStrings({"in", "memory"});
  memory_.Write(texts, kRegionOffset + 4);
  ModelInferRequest request = RequestTo("echo");
  PutInto("r", 4, static_cast<int64_t>(texts.size()), AddInput(request, "a", "BYTES", {2}));
  AddRaw(request, "b", "FP32", {1}, RawFloats({7}));
  const Answer answer = running_.Infer(request);
  ASSERT_TRUE(answer.status.ok()) << answer.status.error_message();
  EXPECT_THAT(answer.response.raw_output_contents(), ElementsAre(texts, RawFloats({7})));
}

TEST_F(SharedMemoryTest, WhatAClientWritesWhileTheModelRunsIsNotSeen) {
  ASSERT_TRUE(Register("r", memory_.key()).ok());
  memory_.Write(RawFloats({1, 2}), kRegionOffset);
  ModelInferRequest request = RequestTo("hang");
  PutInto("r", 0, 8, AddInput(request, "x", "FP32", {2}));
  Answer answer;
  std::thread client([&] { answer = running_.Infer(request); });
  AwaitHanging(1);
  memory_.Write(RawFloats({8, 9}), kRegionOffset);
  ReleaseHanging();
  client.join();
  EXPECT_THAT(answer.response.raw_output_contents(), ElementsAre(RawFloats({1, 2})));
}

TEST_F(SharedMemoryTest, AClientThatShortensItsMemoryGetsAnError) {
  ASSERT_TRUE(Register("r", memory_.key()).ok());
  memory_.Resize(4);
  const Answer answer = running_.Infer(DoubleRequest());
  EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(answer.status.error_message(), HasSubstr("shorter since it was registered"));
}

TEST_F(SharedMemoryTest, WhatDoesNotFitIsRefused) {
  ASSERT_TRUE(Register("r", memory_.key()).ok());
  const auto message_of = [&](const ModelInferRequest& request) {
    const Answer answer = running_.Infer(request);
    EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    return answer.status.error_message();
  };
  ModelInferRequest unknown = RequestTo("double");
  PutInto("nobody", 0, 8, AddInput(unknown, "x", "FP32", {2}));
  EXPECT_THAT(message_of(unknown), HasSubstr("region 'nobody' is not registered"));
  ModelInferRequest outside = RequestTo("double");
  PutInto("r", kRegionBytes - 4, 8, AddInput(outside, "x", "FP32", {2}));
  EXPECT_THAT(message_of(outside), HasSubstr("has 64 bytes; 8 from 60"));
  ModelInferRequest negative = RequestTo("double");
  PutInto("r", -1, 8, AddInput(negative, "x", "FP32", {2}));
  EXPECT_THAT(message_of(negative), HasSubstr("not negative"));
  ModelInferRequest other_size = RequestTo("double");
  PutInto("r", 0, 12, AddInput(other_size, "x", "FP32", {2}));
  EXPECT_THAT(message_of(other_size), HasSubstr("12 bytes in shared memory"));
  ModelInferRequest twice = DoubleRequest();
  twice.mutable_inputs(0)->mutable_contents()->add_fp32_contents(1);
  EXPECT_THAT(message_of(twice), HasSubstr("give one of them"));
  EXPECT_THAT(message_of(DoubleRequest(/*y_bytes=*/4)), HasSubstr("output 'y' has 8 bytes"));
}

TEST_F(SharedMemoryTest, WhatIsNoMemoryOfThatSizeIsNotRegistered) {
  EXPECT_EQ(Register("r", "/torchdeploy_none").error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_FALSE(Register("r", "/../../etc/passwd").ok());
  EXPECT_FALSE(Register("r", "").ok());
  const grpc::Status longer = Register("r", memory_.key(), kRegionOffset, kRegionBytes + 1);
  EXPECT_EQ(longer.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(longer.error_message(), HasSubstr("has 80 bytes; 65 from 16"));
  EXPECT_FALSE(Register("r", memory_.key(), UINT64_MAX, 2).ok());
  EXPECT_FALSE(Register("", memory_.key()).ok());
  ASSERT_TRUE(Register("r", memory_.key()).ok());
  EXPECT_EQ(Register("r", memory_.key()).error_code(), grpc::StatusCode::ALREADY_EXISTS);
}

TEST_F(SharedMemoryTest, RegionsAreListedUntilTheyAreDropped) {
  ASSERT_TRUE(Register("one", memory_.key()).ok());
  ASSERT_TRUE(Register("two", memory_.key(), 0, 8).ok());
  inference::SystemSharedMemoryStatusResponse all;
  ASSERT_TRUE(StatusOf("", &all).ok());
  ASSERT_EQ(all.regions_size(), 2);
  EXPECT_EQ(all.regions().at("one").key(), memory_.key());
  EXPECT_EQ(all.regions().at("one").offset(), kRegionOffset);
  EXPECT_EQ(all.regions().at("two").byte_size(), 8U);
  Unregister("one");
  Unregister("one");  // No error: clients do so before they begin.
  inference::SystemSharedMemoryStatusResponse left;
  EXPECT_EQ(StatusOf("one", &left).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_TRUE(StatusOf("two", &left).ok());
  Unregister("");
  inference::SystemSharedMemoryStatusResponse none;
  EXPECT_TRUE(StatusOf("", &none).ok());
  EXPECT_THAT(none.regions(), IsEmpty());
}

TEST_F(SharedMemoryTest, CudaMemoryIsRefusedAndNothingOfItIsThere) {
  grpc::ClientContext registering;
  inference::CudaSharedMemoryRegisterResponse registered;
  const grpc::Status refused =
      running_.stub().CudaSharedMemoryRegister(&registering, {}, &registered);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_THAT(refused.error_message(), HasSubstr("no CUDA shared memory"));
  grpc::ClientContext asking;
  inference::CudaSharedMemoryStatusResponse status;
  EXPECT_TRUE(running_.stub().CudaSharedMemoryStatus(&asking, {}, &status).ok());
  EXPECT_THAT(status.regions(), IsEmpty());
  grpc::ClientContext dropping;
  inference::CudaSharedMemoryUnregisterResponse dropped;
  EXPECT_TRUE(running_.stub().CudaSharedMemoryUnregister(&dropping, {}, &dropped).ok());
}

TEST_F(SharedMemoryTest, TheServerSaysThatItTakesIt) {
  grpc::ClientContext context;
  SetDeadline(context);
  inference::ServerMetadataResponse response;
  ASSERT_TRUE(running_.stub().ServerMetadata(&context, {}, &response).ok());
  EXPECT_THAT(response.extensions(), Contains("system_shared_memory"));
}

TEST_F(SharedMemoryTest, AClientThatShortensItsMemoryGetsNoOutputThere) {
  ASSERT_TRUE(Register("r", memory_.key()).ok());
  memory_.Resize(4);
  ModelInferRequest request = RequestTo("double");
  AddRaw(request, "x", "FP32", {2}, RawFloats({1, 2}));
  auto* y = request.add_outputs();
  y->set_name("y");
  PutInto("r", 8, 8, *y);
  const Answer answer = running_.Infer(request);
  EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(answer.status.error_message(), HasSubstr("shorter since it was registered"));
}

TEST_F(SharedMemoryTest, AHugeRegionIsNotReadForASmallTensor) {
  constexpr off_t kHugeBytes = off_t{1} << 40;  // Without a page in it.
  memory_.Resize(kHugeBytes);
  ASSERT_TRUE(Register("huge", memory_.key(), 0, kHugeBytes).ok());
  ModelInferRequest number = RequestTo("double");
  PutInto("huge", 0, kHugeBytes, AddInput(number, "x", "FP32", {2}));
  EXPECT_THAT(running_.Infer(number).status.error_message(), HasSubstr("shape take 8"));
  ModelInferRequest text = RequestTo("echo");
  PutInto("huge", 0, kHugeBytes, AddInput(text, "a", "BYTES", {1}));
  AddInput(text, "b", "BYTES", {0});
  EXPECT_THAT(running_.Infer(text).status.error_message(), HasSubstr("more than 2147483647"));
}

TEST_F(SharedMemoryTest, RegionsAreBoundedInNumberAndName) {
  EXPECT_FALSE(Register(std::string(1025, 'n'), memory_.key()).ok());
  int registered = 0;
  grpc::Status status;
  while (status = Register(std::to_string(registered), memory_.key()), status.ok()) {
    ++registered;
  }
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(registered, 256);
}

TEST(SharedMemoryOffTest, AServerThatIsNotToldToTakesNone) {
  RunningServer running;
  running.AddWithInputs("echo", {"x"});
  running.Listen(1);
  running.Load();
  const ClientMemory memory(kRegionBytes);
  inference::SystemSharedMemoryRegisterRequest request;
  request.set_name("r");
  request.set_key(memory.key());
  request.set_byte_size(kRegionBytes);
  grpc::ClientContext context;
  inference::SystemSharedMemoryRegisterResponse response;
  const grpc::Status refused =
      running.stub().SystemSharedMemoryRegister(&context, request, &response);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_THAT(refused.error_message(), HasSubstr("--allow-shared-memory"));
}

TEST(SharedMemoryRpcsTest, ClientsOnThisMachineAreKnownByTheirAddress) {
  for (const std::string peer :
       {"ipv4:10.1.2.3:50", "ipv6:[2001:db8::1]:50", "ipv4:12.7.0.1:5", "", "dns:127.0.0.1"}) {
    EXPECT_FALSE(IsOnThisMachine(peer)) << peer;
  }
  for (const std::string peer :
       {"ipv4:127.0.0.1:50", "ipv6:[::1]:50", "ipv6:%5B::1%5D:50", "unix:/tmp/socket"}) {
    EXPECT_TRUE(IsOnThisMachine(peer)) << peer;
  }
}

}  // namespace
}  // namespace torchdeploy::server
