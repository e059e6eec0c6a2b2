// Managers, environments and packages.
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <caffe2/serialize/file_adapter.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/cpp/compat/shared_manager.h"
#include <multipy/runtime/deploy.h>
#include <multipy/runtime/path_environment.h>

namespace torch::deploy {
namespace {

using ::testing::HasSubstr;

std::string WordOf(const InterpreterSession& importer) {
  return importer.self.attr("import_module")({"words"}).attr("word").toIValue().toStringRef();
}

// A folder with one module, removed at the end.
class ModuleFolder {
 public:
  ModuleFolder() : path_(::testing::TempDir() + "torchdeploy_compat_test") {
    std::filesystem::create_directories(path_);
    std::ofstream(path_ + "/only_there.py") << "answer = 42\n";
  }
  ModuleFolder(const ModuleFolder&) = delete;
  ModuleFolder& operator=(const ModuleFolder&) = delete;
  ~ModuleFolder() { std::filesystem::remove_all(path_); }

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// As programs write their own.
class TwoFolders : public Environment {
 public:
  explicit TwoFolders(std::string folder) : paths_({std::move(folder)}) {}

  void configureInterpreter(Interpreter* interpreter) override {
    interpreter->acquireSession().global("only_there", "answer");
    ++configured;
  }
  const std::vector<std::string>& getExtraPythonPaths() override { return paths_; }

  int configured = 0;

 private:
  std::vector<std::string> paths_;
};

void ExpectModuleInEach(InterpreterManager& manager) {
  for (const Interpreter& interpreter : manager.allInstances()) {
    const InterpreterSession session = interpreter.acquireSession();
    EXPECT_EQ(session.global("only_there", "answer").toIValue().toInt(), 42);
  }
}

TEST(ManagerTest, InterpretersKnowTheirIndex) {
  int64_t i = 0;
  for (const Interpreter& interpreter : SharedManager().allInstances()) {
    EXPECT_EQ(InterpreterOf(interpreter.acquireSession()), i++);
  }
  EXPECT_EQ(i, 2);
}

TEST(ManagerTest, HasTwoInterpretersUnlessToldOtherwise) {
  DestroyManager();
  multipy::runtime::InterpreterManager manager;
  EXPECT_EQ(manager.allInstances().size(), 2);
}

TEST(ManagerTest, OfNoInterpretersIsAnError) {
  EXPECT_THAT(ErrorOf([] { const InterpreterManager none(0); }), HasSubstr("0 interpreters"));
  EXPECT_THAT(ErrorOf([] { const InterpreterManager many(SIZE_MAX); }), HasSubstr("1024"));
}

TEST(ManagerTest, LimitLeavesOutTheLastInterpreters) {
  InterpreterManager& manager = SharedManager();
  manager.debugLimitInterpreters(1);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(InterpreterOf(manager.acquireOne()), 0);
  }
  EXPECT_EQ(InterpreterOf(manager.allInstances()[1].acquireSession()), 1);
  EXPECT_EQ(manager.allInstances().size(), 2);
  manager.debugLimitInterpreters(2);
  const InterpreterSession first = manager.acquireOne();
  EXPECT_NE(InterpreterOf(manager.acquireOne()), InterpreterOf(first));
}

TEST(ManagerTest, LimitIsOneToTheNumberOfInterpreters) {
  EXPECT_THAT(ErrorOf([] { SharedManager().debugLimitInterpreters(3); }), HasSubstr("there are 2"));
  EXPECT_THAT(ErrorOf([] { SharedManager().debugLimitInterpreters(0); }), HasSubstr("at least 1"));
}

TEST(ManagerTest, RegisteredModuleIsImportedInEachInterpreter) {
  DestroyManager();
  InterpreterManager& manager = SharedManager();
  EXPECT_EQ(manager.countRegisteredModuleSources(), 1);
  manager.registerModuleSource("adder", "def add(a, b):\n    return a + b\n");
  EXPECT_EQ(manager.countRegisteredModuleSources(), 2);
  for (const Interpreter& interpreter : manager.allInstances()) {
    const InterpreterSession session = interpreter.acquireSession();
    EXPECT_EQ(session.global("adder", "add")({1, 2}).toIValue().toInt(), 3);
  }
}

TEST(ManagerTest, ModuleThatDoesNotCompileIsAnError) {
  const size_t before = SharedManager().countRegisteredModuleSources();
  EXPECT_THAT(ErrorOf([] { SharedManager().registerModuleSource("bad", "def"); }),
              HasSubstr("SyntaxError"));
  EXPECT_EQ(SharedManager().countRegisteredModuleSources(), before);
}

TEST(ManagerTest, CanBeMadeAgain) {
  const ReplicatedObj of_the_first = LoadScaler();
  DestroyManager();
  EXPECT_NE(ErrorOf([&] { of_the_first({at::ones({4})}); }), "no error");
  EXPECT_TRUE(at::equal(LoadScaler()({at::ones({4})}).toTensor(), at::full({4}, 3.0)));
  const Interpreter& interpreter = SharedManager().allInstances()[0];
  EXPECT_THAT(ErrorOf([&] { (void)of_the_first.acquireSession(&interpreter); }),
              HasSubstr("another manager"));
}

TEST(EnvironmentTest, PathIsSeenByEachInterpreterOfItsManagerOnly) {
  DestroyManager();
  const ModuleFolder folder;
  {
    InterpreterManager manager(2, std::make_shared<PathEnvironment>(folder.path()));
    ExpectModuleInEach(manager);
  }
  EXPECT_THAT(ErrorOf([] { SharedManager().acquireOne().global("only_there", "answer"); }),
              HasSubstr("ModuleNotFoundError"));
}

TEST(EnvironmentTest, OfAProgramConfiguresEachInterpreter) {
  DestroyManager();
  const ModuleFolder folder;
  const auto environment = std::make_shared<TwoFolders>(folder.path());
  InterpreterManager manager(2, environment);
  EXPECT_EQ(environment->configured, 2);
  ExpectModuleInEach(manager);
}

TEST(PackageTest, PackagesHaveModulesOfTheirOwn) {
  Package one = LoadTestPackage("one");
  Package two = LoadTestPackage("two");
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(WordOf(one.acquireSession()), "one");
    EXPECT_EQ(WordOf(two.acquireSession()), "two");
  }
}

TEST(PackageTest, HoldsTextAndBytes) {
  Package package = LoadTestPackage();
  EXPECT_EQ(package.loadText("notes", "greeting.txt"), "grüß dich");
  EXPECT_EQ(package.loadBinary("notes", "bytes.bin"), std::string("\0\1\xff", 3));
}

TEST(PackageTest, IsReadByAReaderOfTheProgram) {
  auto reader = std::make_shared<caffe2::serialize::FileAdapter>(ARCHIVE_FOLDER "two.pt");
  Package package = SharedManager().loadPackage(std::move(reader));
  EXPECT_EQ(WordOf(package.acquireSession()), "two");
  const ReplicatedObj model = package.loadPickle("model", "model.pkl");
  EXPECT_TRUE(at::equal(model({at::ones({4})}).toTensor(), at::full({4}, 3.0)));
}

TEST(PackageTest, WhatIsMissingIsAnErrorAtOnce) {
  EXPECT_THAT(ErrorOf([] { SharedManager().loadPackage("no_such.pt"); }), HasSubstr("no_such.pt"));
  EXPECT_THAT(ErrorOf([] { LoadTestPackage().loadPickle("model", "no_such.pkl"); }),
              HasSubstr("no_such.pkl"));
}

}  // namespace
}  // namespace torch::deploy
