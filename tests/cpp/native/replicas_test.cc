// Archives of TorchScript in a manager: recognised, loaded once, called from everywhere.
#include <malloc.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "torchdeploy/archive_format.h"
#include "torchdeploy/call_options.h"
#include "torchdeploy/interpreter_manager.h"
#include "torchdeploy/interpreter_session.h"
#include "torchdeploy/package.h"
#include "torchdeploy/replicated_obj.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

#include "tests/cpp/native/native_archives.h"

namespace torchdeploy {

namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr size_t kBigBytes = size_t{2000} * 2001 * 4;  // Of the weights of big.pt.

std::string BytesOf(const std::string& name) {
  std::ifstream file(TD_ARCHIVES + name, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// That this process holds, but for what files back.
size_t HeldBytes() {
  malloc_trim(0);
  std::ifstream file("/proc/self/statm");
  size_t size = 0;
  size_t resident = 0;
  size_t of_files = 0;
  file >> size >> resident >> of_files;
  return (resident - of_files) * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

Value Row() {
  return MakeTensor({1, 2}, {1, 2});
}

TEST(NativeReplicasTest, AnArchiveIsKnownByWhatIsInIt) {
  const Package package = LoadNative("scaled.pt");
  EXPECT_EQ(package.format(), ArchiveFormat::kTorchScript);
  EXPECT_FALSE(package.manifest().has_value());
  EXPECT_EQ(package.LoadPickle().num_interpreters(), size_t{kInterpreters});
  const Status other = NativeManager().LoadPackage(TD_ARCHIVES "tensor.pt").status();
  EXPECT_EQ(other.code(), Code::kDataLoss);
  EXPECT_THAT(other.message(), HasSubstr("torch.jit.save"));
}

TEST(NativeReplicasTest, AnArchiveInMemoryGivesWhatItsFileGives) {
  const std::string bytes = BytesOf("scaled.pt");
  const auto package = NativeManager().LoadPackage(std::as_bytes(std::span(bytes)), "in memory");
  ASSERT_TRUE(package.ok()) << package.status().ToString();
  EXPECT_THAT(ElementsOf(*package->LoadPickle().Call({Row()})), ElementsAre(21));
}

TEST(NativeReplicasTest, ADamagedArchiveIsRefusedBeforeTorchReadsIt) {
  std::string bytes = BytesOf("scaled.pt");
  const size_t at = bytes.find("__torch__");
  ASSERT_NE(at, std::string::npos);
  bytes[bytes.find("__torch__", bytes.find("data.pkl")) + 3] ^= 1;
  const auto package = NativeManager().LoadPackage(std::as_bytes(std::span(bytes)), "damaged");
  EXPECT_EQ(package.status().code(), Code::kDataLoss) << package.status().ToString();
}

TEST(NativeReplicasTest, EveryBrokenByteOfAnArchiveIsAnErrorOrHarmless) {
  const std::string bytes = BytesOf("scaled.pt");
  for (size_t at = 0; at < bytes.size(); at += 7) {
    std::string broken = bytes;
    broken[at] = static_cast<char>(~broken[at]);
    const auto package = NativeManager().LoadPackage(std::as_bytes(std::span(broken)), "broken");
    if (package.ok()) {
      std::ignore = package->LoadPickle().Call({Row()});
    }
  }
}

TEST(NativeReplicasTest, WeightsAreHeldOnceByAllReplicas) {
  const Package package = LoadNative("big.pt");
  const size_t before = HeldBytes();
  ASSERT_TRUE(package.LoadPickle().LoadEverywhere().ok());
  const size_t added = HeldBytes() - before;
  EXPECT_GT(added, kBigBytes / 2);
  EXPECT_LT(added, kBigBytes + kBigBytes / 2);
}

TEST(NativeReplicasTest, WhatOneReplicaAssignsToItsAttributesTheOthersDoNotSee) {
  const ReplicatedObj model = LoadNativeModel("scaled.pt");
  for (size_t slot = 0; slot < kInterpreters; ++slot) {
    const auto session = *model.AcquireSession(slot);
    EXPECT_EQ(*session.self().Attribute("count")->Call({})->ToValue()->get<int64_t>(), 1);
    EXPECT_EQ(*session.self().Attribute("count")->Call({})->ToValue()->get<int64_t>(), 2);
  }
}

TEST(NativeReplicasTest, TheWeightsOfAFileThatIsRewrittenAreNotLoadedAgain) {
  const std::string path = ::testing::TempDir() + "/rewritten.pt";
  std::filesystem::copy_file(TD_ARCHIVES "big.pt", path,
                             std::filesystem::copy_options::overwrite_existing);
  const auto package = NativeManager().LoadPackage(path);
  ASSERT_TRUE(package.ok()) << package.status().ToString();
  const ReplicatedObj model = package->LoadPickle();
  ASSERT_TRUE(model.AcquireSession(0).ok());
  std::ofstream(path, std::ios::trunc) << "something else";
  const size_t before = HeldBytes();
  ASSERT_TRUE(model.AcquireSession(1).ok());
  EXPECT_LT(HeldBytes(), before + kBigBytes / 2);
  std::filesystem::remove(path);
}

TEST(NativeReplicasTest, ThePackagesOfOneArchiveHaveObjectsOfTheirOwn) {
  EXPECT_EQ(*CallMethod(LoadNative("scaled.pt"), "count")->get<int64_t>(), 1);
  EXPECT_EQ(*CallMethod(LoadNative("scaled.pt"), "count")->get<int64_t>(), 1);
}

TEST(NativeReplicasTest, CallsFromManyThreadsAreAnsweredEachWithItsOwn) {
  const ReplicatedObj model = LoadNativeModel("scaled.pt");
  EXPECT_EQ(CountWrong([&](float x) {
              const Result<Value> result = model.Call({MakeTensor({x, x}, {1, 2})});
              return result.ok() && ElementsOf(*result) == std::vector<float>{11 * x};
            }),
            0);
}

TEST(NativeReplicasTest, AttributesAreMethodsValuesAndModules) {
  const auto session = *LoadNativeModel("scaled.pt").AcquireSession();
  EXPECT_EQ(*session.self().Attribute("label")->ToValue()->get<std::string>(), "scaled");
  const auto linear = session.self().Attribute("linear");
  ASSERT_TRUE(linear.ok());
  EXPECT_THAT(ElementsOf(*linear->Call({Row()})->ToValue()), ElementsAre(21));
  EXPECT_THAT(ElementsOf(*linear->Attribute("weight")->ToValue()), ElementsAre(1, 10));
  const Status missing = session.self().Attribute("wieght").status();
  EXPECT_EQ(missing.type(), "AttributeError");
  EXPECT_THAT(missing.message(), HasSubstr("has no attribute 'wieght'"));
  EXPECT_FALSE(*session.self().HasAttribute("wieght"));
  EXPECT_TRUE(*session.self().HasAttribute("both"));
}

TEST(NativeReplicasTest, AModelIsServedWithoutGradientsAndAsItIsWithThem) {
  const Package package = LoadNative("scaled.pt");
  const auto served = *package.LoadEntry().AcquireSession();
  const auto method = *served.self().Attribute("method_needs_grad");
  EXPECT_FALSE(*method.Call({Row()})->ToValue()->get<bool>());
  EXPECT_TRUE(*CallMethod(package, "needs_grad", {Row()})->get<bool>());
}

TEST(NativeReplicasTest, WhatTheServerAsksOfCallsIsAskedOfReplicasThatComeLaterToo) {
  const ReplicatedObj entry = LoadNative("scaled.pt").LoadEntry();
  const auto is_inferring = [&](size_t slot) {
    const auto session = *entry.AcquireSession(slot);
    return *session.self().Attribute("method_is_inferring")->Call({Row()})->ToValue()->get<bool>();
  };
  EXPECT_FALSE(is_inferring(0));
  {
    const auto session = *entry.AcquireSession(0);
    const Obj configure = *session.self().Attribute("configure");
    const Status wrong = configure.Call({}, {{"device", std::string("cpu")}}).status();
    EXPECT_THAT(wrong.message(), HasSubstr("device is for archives of Python code only"));
    ASSERT_TRUE(configure.Call({}, {{"inference_mode", true}}).ok());
  }
  EXPECT_TRUE(is_inferring(0));
  EXPECT_TRUE(is_inferring(1)) << "made only now";
}

TEST(NativeReplicasTest, WhatNeedsPythonIsRefusedByName) {
  const auto session = *LoadNative("scaled.pt").AcquireSession();
  const Status global = session.Global("builtins", "repr").status();
  EXPECT_EQ(global.code(), Code::kUnimplemented);
  EXPECT_THAT(global.message(), HasSubstr("builtins.repr"));
  const Status pickle = LoadNative("scaled.pt").LoadPickle("model", "other.pkl").Call({}).status();
  EXPECT_EQ(pickle.code(), Code::kNotFound);
  EXPECT_THAT(pickle.message(), HasSubstr("model/other.pkl"));
}

TEST(NativeReplicasTest, ACallThatIsOverItsDeadlineIsGivenUpAndItsInterpreterReplaced) {
  auto manager =
      InterpreterManager::Create({.interpreters = 1, .python = TD_PYTHON, .on_demand = true});
  ASSERT_TRUE(manager.ok());
  const auto package = (*manager)->LoadPackage(TD_ARCHIVES "endless.pt");
  ASSERT_TRUE(package.ok());
  const ReplicatedObj model = package->LoadPickle();
  ASSERT_TRUE(model.LoadEverywhere().ok());
  CallOptions options;
  options.deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(100);
  const Status status = model.Call({200.0}, {}, options).status();
  EXPECT_EQ(status.code(), Code::kDeadlineExceeded) << status.ToString();
  EXPECT_TRUE(model.Call({0.0}).ok());
  EXPECT_EQ((*manager)->interpreters_replaced(), 1U);
}

TEST(NativeReplicasTest, TheNumberOfInterpretersChangesWhileTheyAreCalled) {
  auto manager =
      InterpreterManager::Create({.interpreters = 1, .python = TD_PYTHON, .on_demand = true});
  ASSERT_TRUE(manager.ok());
  const auto package = (*manager)->LoadPackage(TD_ARCHIVES "scaled.pt");
  ASSERT_TRUE(package.ok());
  const ReplicatedObj model = package->LoadPickle();
  for (const size_t interpreters : {3U, 1U}) {
    ASSERT_TRUE((*manager)->Resize(interpreters).ok());
    EXPECT_EQ((*manager)->size(), interpreters);
    EXPECT_EQ(model.num_interpreters(), interpreters);
    EXPECT_THAT(ElementsOf(*model.Call({Row()})), ElementsAre(21));
  }
  (*manager)->Close();
  EXPECT_EQ(model.Call({Row()}).status().code(), Code::kUnavailable);
}

}  // namespace

}  // namespace torchdeploy
