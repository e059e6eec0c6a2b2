// Interpreters that start when an archive needs them, and archives of two formats in one manager.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "torchdeploy/archive_format.h"
#include "torchdeploy/interpreter_manager.h"
#include "torchdeploy/interpreter_session.h"
#include "torchdeploy/options.h"
#include "torchdeploy/package.h"
#include "torchdeploy/replicated_obj.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

#include "tests/cpp/runtime/fake_pool.h"
#include "tests/fakes/archive_writer.h"

namespace torchdeploy {
namespace {

using ::testing::HasSubstr;

std::unique_ptr<InterpreterManager> MakeOnDemand(int interpreters) {
  Options options = FakeOptions(interpreters);
  options.on_demand = true;
  return *InterpreterManager::Create(options);
}

// Records as torch.jit.save() writes them; the fake engine reads none.
class TorchScriptArchive {
 public:
  explicit TorchScriptArchive(const std::string& manifest = "") : path_(folder_.File("script.pt")) {
    std::map<std::string, std::string> records = {{"script/version", "3\n"},
                                                  {"script/data.pkl", "a module"},
                                                  {"script/constants.pkl", "a tuple"},
                                                  {"script/data/0", "weights"}};
    if (!manifest.empty()) {
      records.emplace("script/extra/torchdeploy/manifest.json", manifest);
    }
    fakes::WriteZip(path_, records, fakes::Compression::kDeflate);
  }

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  TemporaryFolder folder_;
  const std::string path_;
};

TEST(EnginePoolsTest, InterpretersOnDemandStartWithTheFirstArchive) {
  const auto manager = MakeOnDemand(2);
  EXPECT_EQ(manager->size(), 2U);
  EXPECT_TRUE(manager->Usage().empty());
  const ReplicatedObj echo = LoadModel(*manager, "echo.pkl");
  EXPECT_EQ(manager->Usage().size(), 2U);
  EXPECT_EQ(IntegerOf(*echo.Call({int64_t{7}})), 7);
}

TEST(EnginePoolsTest, ASizeThatIsAskedForBeforeTheStartIsTheSizeAtTheStart) {
  const auto manager = MakeOnDemand(2);
  ASSERT_TRUE(manager->Resize(3).ok());
  EXPECT_EQ(manager->size(), 3U);
  EXPECT_EQ(LoadModel(*manager, "echo.pkl").num_interpreters(), 3U);
}

TEST(EnginePoolsTest, WhatCannotStartIsTheErrorOfWhoeverNeedsIt) {
  Options options = FakeOptions(1);
  options.on_demand = true;
  options.engine_library = "/nowhere/engine.so";
  const auto manager = InterpreterManager::Create(options);
  ASSERT_TRUE(manager.ok());
  EXPECT_EQ((*manager)->AcquireSession().status().code(), Code::kNotFound);
  const Status status = (*manager)->LoadPackage(TorchScriptArchive().path()).status();
  EXPECT_EQ(status.code(), Code::kNotFound);
  EXPECT_THAT(status.message(), HasSubstr("/nowhere/engine.so"));
}

TEST(EnginePoolsTest, ATorchScriptArchiveIsKnownByItsRecordsAlsoCompressed) {
  const auto manager = MakeManager(1);
  const auto package = manager->LoadPackage(TorchScriptArchive().path());
  ASSERT_TRUE(package.ok()) << package.status().ToString();
  EXPECT_EQ(package->format(), ArchiveFormat::kTorchScript);
  EXPECT_FALSE(package->manifest().has_value());
  EXPECT_EQ(LoadArchive(*manager).format(), ArchiveFormat::kTorchPackage);
}

TEST(EnginePoolsTest, TheManifestOfATorchScriptArchiveIsAmongItsExtraFiles) {
  const TorchScriptArchive archive(R"({"format": 1, "name": "scripted", "version": "3",
      "entry": {"package": "torchdeploy", "resource": "entry.pkl"}, "inputs": [], "outputs": [],
      "python": "3.11.7", "torch": "2.13.0", "distributions": {}})");
  const auto manager = MakeManager(1);
  const auto package = manager->LoadPackage(archive.path());
  ASSERT_TRUE(package.ok()) << package.status().ToString();
  ASSERT_TRUE(package->manifest().has_value());
  EXPECT_EQ(package->manifest()->name, "scripted");
}

TEST(EnginePoolsTest, ArchivesWithoutPythonDoNotWaitForPythonsInterpreters) {
  const auto manager = MakeManager(1);
  const auto busy = manager->AcquireSession();
  ASSERT_TRUE(busy.ok());
  const auto package = manager->LoadPackage(TorchScriptArchive().path());
  ASSERT_TRUE(package.ok());
  std::thread([&] {
    EXPECT_EQ(IntegerOf(*package->LoadPickle("model", "echo.pkl").Call({int64_t{1}})), 1);
  }).join();
}

TEST(EnginePoolsTest, BothKindsOfInterpretersAreResizedLimitedAndClosedTogether) {
  const auto manager = MakeManager(1);
  const ReplicatedObj python = LoadModel(*manager, "echo.pkl");
  const auto package = manager->LoadPackage(TorchScriptArchive().path());
  const ReplicatedObj native = package->LoadPickle("model", "slot.pkl");
  ASSERT_TRUE(manager->Resize(3).ok());
  EXPECT_EQ(python.num_interpreters(), 3U);
  EXPECT_EQ(native.num_interpreters(), 3U);
  ASSERT_TRUE(manager->LimitInterpreters(1).ok());
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(IntegerOf(*native.Call({})), 0);
  }
  manager->Close();
  EXPECT_EQ(python.Call({int64_t{1}}).status().code(), Code::kUnavailable);
  EXPECT_EQ(native.Call({}).status().code(), Code::kUnavailable);
  EXPECT_EQ(manager->LoadPackage(TorchScriptArchive().path()).ok(), true)
      << "an archive is opened, and its calls are refused";
}

TEST(EnginePoolsTest, AnArchiveIsLoadedWhileAResizeWaitsForItsLoader) {
  const auto manager = MakeManager(2);
  const TorchScriptArchive archive;
  auto session = manager->AcquireSession(1);
  ASSERT_TRUE(session.ok());
  std::thread resizer([&] { EXPECT_TRUE(manager->Resize(1).ok()); });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));  // To be waiting for the session.
  const auto package = manager->LoadPackage(archive.path());
  ASSERT_TRUE(package.ok());
  EXPECT_EQ(package->LoadPickle().num_interpreters(), 2U);
  session = Status(Code::kCancelled, "is let go");
  resizer.join();
  EXPECT_EQ(manager->size(), 1U);
  EXPECT_EQ(package->LoadPickle().num_interpreters(), 1U) << "though it came in between";
}

TEST(EnginePoolsTest, AResizeThatCannotBeChangesNothing) {
  const auto manager = MakeManager(2);
  const auto package = manager->LoadPackage(TorchScriptArchive().path());
  ASSERT_TRUE(package.ok());
  const auto session = package->LoadPickle("model", "slot.pkl").AcquireSession();
  ASSERT_TRUE(session.ok());
  EXPECT_EQ(manager->Resize(1).code(), Code::kFailedPrecondition) << "this thread holds a session";
  EXPECT_EQ(manager->size(), 2U);
  EXPECT_EQ(LoadModel(*manager, "slot.pkl").num_interpreters(), 2U);
}

TEST(EnginePoolsTest, ManyWhoNeedTheFirstInterpretersAtOnceGetTheSameOnes) {
  const TorchScriptArchive archive;
  for (int round = 0; round < 20; ++round) {
    const auto manager = MakeOnDemand(2);
    std::atomic<int> failed{0};
    std::vector<std::jthread> threads;
    for (int i = 0; i < 6; ++i) {
      threads.emplace_back([&, i] {
        const auto package = i % 2 == 0 ? manager->LoadPackage(archive.path())
                                        : Result<Package>(LoadArchive(*manager));
        const ReplicatedObj echo = package->LoadPickle("model", "echo.pkl");
        failed += echo.Call({int64_t{i}}).ok() && echo.num_interpreters() == 2 ? 0 : 1;
      });
    }
    threads.emplace_back([&] { failed += manager->Resize(2).ok() ? 0 : 1; });
    threads.emplace_back([&] { failed += manager->Usage().size() <= 2 ? 0 : 1; });
    threads.clear();
    EXPECT_EQ(failed.load(), 0);
  }
}

TEST(EnginePoolsTest, AManagerThatClosesWhileInterpretersStartRefusesTheirCalls) {
  for (int round = 0; round < 50; ++round) {
    const auto manager = MakeOnDemand(1);
    std::jthread loader([&] {
      const auto session = manager->AcquireSession();
      EXPECT_TRUE(session.ok() || session.status().code() == Code::kUnavailable);
    });
    manager->Close();
    EXPECT_EQ(manager->AcquireSession().status().code(), Code::kUnavailable);
  }
}

}  // namespace
}  // namespace torchdeploy
