// Starts that must fail: one clear status each, and a good start afterwards in the same process.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "torchdeploy/interpreter_manager.h"
#include "torchdeploy/interpreter_session.h"
#include "torchdeploy/options.h"
#include "torchdeploy/status.h"

#include <sys/mount.h>
#include <sys/resource.h>

namespace torchdeploy {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;

class FailingStartTest : public ::testing::Test {
 protected:
  FailingStartTest() : folder_(testing::TempDir() + "failing_start_" + std::to_string(getpid())) {
    fs::create_directories(folder_);
  }
  ~FailingStartTest() override { fs::remove_all(folder_); }

  static Options Good() {
    Options options;
    options.interpreters = 2;
    options.intra_op_threads = 1;
    options.python = TD_PYTHON;
    return options;
  }

  static Status Start(const Options& options) {
    return InterpreterManager::Create(options).status();
  }

  static void ExpectAGoodStart() {
    const auto manager = InterpreterManager::Create(Good());
    ASSERT_TRUE(manager.ok()) << manager.status().ToString();
    const auto session = (*manager)->AcquireSession();
    ASSERT_TRUE(session.ok());
    const auto torch = session->Global("torch", "ones");
    EXPECT_TRUE(torch.ok()) << torch.status().ToString();
  }

  // A virtual environment without packages; returns its folder for packages.
  [[nodiscard]] fs::path MakeEnvironment() const {
    const std::string command = std::string(TD_PYTHON) + " -m venv --without-pip " + folder_;
    EXPECT_EQ(std::system(command.c_str()), 0);  // NOLINT(concurrency-mt-unsafe)
    for (const auto& entry : fs::directory_iterator(folder_ + "/lib")) {
      return entry.path() / "site-packages";
    }
    return {};
  }

  [[nodiscard]] Status StartWithEnvironment() const {
    Options options = Good();
    options.python = folder_ + "/bin/python";
    return Start(options);
  }

  [[nodiscard]] Status StartWithCache(const std::string& cache) const {
    Options options = Good();
    options.cache_folder = cache;
    return Start(options);
  }

  const std::string folder_;
};

TEST_F(FailingStartTest, APythonWithoutTorchIsToldHowToGetIt) {
  (void)MakeEnvironment();
  const Status status = StartWithEnvironment();
  EXPECT_EQ(status.code(), Code::kNotFound);
  EXPECT_THAT(status.message(),
              AllOf(HasSubstr(folder_ + "/bin/python has no torch"), HasSubstr("pip install")));
  ExpectAGoodStart();
}

TEST_F(FailingStartTest, AnotherVersionOfTorchIsNamed) {
  const fs::path packages = MakeEnvironment();
  fs::create_directories(packages / "torch");
  fs::create_directories(packages / "torch-2.9.1.dist-info");
  std::ofstream(packages / "torch" / "__init__.py") << "";
  std::ofstream(packages / "torch-2.9.1.dist-info" / "METADATA")
      << "Metadata-Version: 2.1\nName: torch\nVersion: 2.9.1\n";
  const Status status = StartWithEnvironment();
  EXPECT_EQ(status.code(), Code::kFailedPrecondition);
  EXPECT_THAT(status.message(), AllOf(HasSubstr("torch 2.13 is needed"), HasSubstr("torch 2.9.1")));
  ExpectAGoodStart();
}

TEST_F(FailingStartTest, APythonWithoutSharedLibpythonIsToldHowToGetIt) {
  const fs::path packages = MakeEnvironment();
  // What a Python says that was built without: nowhere is a libpython.
  std::ofstream(packages / "without_libpython.pth")
      << "import sys, sysconfig; sys.base_prefix = '/nowhere'; sysconfig.get_config_vars()"
         ".update(LIBDIR='/nowhere', LIBPL='/nowhere', INSTSONAME='libpython3.a')\n";
  const Status status = StartWithEnvironment();
  EXPECT_EQ(status.code(), Code::kFailedPrecondition);
  EXPECT_THAT(status.message(), HasSubstr("has no shared libpython"));
  ExpectAGoodStart();
}

TEST_F(FailingStartTest, WhatIsNoPythonIsNamed) {
  Options options = Good();
  options.python = "/nowhere/python";
  EXPECT_EQ(Start(options).code(), Code::kNotFound);
  EXPECT_THAT(Start(options).message(), HasSubstr("/nowhere/python"));
  options.python = "false";
  EXPECT_THAT(Start(options).message(), HasSubstr("false is no working Python"));
  ExpectAGoodStart();
}

TEST_F(FailingStartTest, ACacheThatCannotBeMadeIsNamed) {
  const Status status = StartWithCache("/sys/torchdeploy");  // Root cannot write there either.
  EXPECT_EQ(status.code(), Code::kPermissionDenied);
  EXPECT_THAT(status.message(), HasSubstr("/sys/torchdeploy"));
  std::ofstream(folder_ + "/file") << "";
  EXPECT_THAT(StartWithCache(folder_ + "/file").message(), HasSubstr("Not a directory"));
  ExpectAGoodStart();
}

TEST_F(FailingStartTest, AFullDiskIsNamedAndLeavesNoTornCopy) {
  if (mount("none", folder_.c_str(), "tmpfs", 0, "size=100m") != 0) {
    GTEST_SKIP() << "only root can make a small disk";
  }
  const Status status = StartWithCache(folder_);
  EXPECT_EQ(status.code(), Code::kResourceExhausted);
  EXPECT_THAT(status.message(), AllOf(HasSubstr(folder_), HasSubstr("No space left on device")));
  for (const auto& entry : fs::recursive_directory_iterator(folder_)) {
    EXPECT_NE(entry.path().extension(), ".new") << entry.path();
  }
  // Lazily: what was loaded from there before the disk was full stays loaded.
  EXPECT_EQ(umount2(folder_.c_str(), MNT_DETACH), 0);
  ExpectAGoodStart();
}

// Lowers a limit of the process for a scope.
class Limit {
 public:
  Limit(int resource, rlim_t value) : resource_(resource) {
    EXPECT_EQ(getrlimit(resource_, &before_), 0);
    const rlimit lower{.rlim_cur = value, .rlim_max = before_.rlim_max};
    EXPECT_EQ(setrlimit(resource_, &lower), 0);
  }
  Limit(const Limit&) = delete;
  Limit& operator=(const Limit&) = delete;
  ~Limit() { EXPECT_EQ(setrlimit(resource_, &before_), 0); }

 private:
  const int resource_;
  rlimit before_{};
};

TEST_F(FailingStartTest, AFileThatMayNotGrowIsNamed) {
  signal(SIGXFSZ, SIG_IGN);
  {
    const Limit limit(RLIMIT_FSIZE, 1 << 20);
    const Status status = StartWithCache(folder_);
    EXPECT_EQ(status.code(), Code::kResourceExhausted);
    EXPECT_THAT(status.message(), HasSubstr("File too large"));
  }
  ExpectAGoodStart();
}

rlim_t AddressSpaceInUse() {
  std::ifstream file("/proc/self/statm");
  rlim_t pages = 0;
  file >> pages;
  return pages * static_cast<rlim_t>(sysconf(_SC_PAGESIZE));
}

// One that no interpreter in stock has, so that all must be made.
int UnusedThreadCount() {
  static int next = 2;
  return next++;
}

// What fails for want of it: the first libraries, or the largest ones, or those that they need.
class TooLittleMemoryTest : public FailingStartTest,
                            public ::testing::WithParamInterface<rlim_t> {};

TEST_P(TooLittleMemoryTest, IsAStatusAndAGoodStartFollows) {
  {
    const Limit limit(RLIMIT_AS, AddressSpaceInUse() + (GetParam() << 20));
    Options options = Good();
    options.intra_op_threads = UnusedThreadCount();
    const Status status = Start(options);
    ASSERT_FALSE(status.ok());
    // The words of the kernel, the dynamic linker or Python.
    EXPECT_THAT(status.ToString(), ContainsRegex("allocate memory|failed to map|MemoryError|No "
                                                 "thread"));
  }
  ExpectAGoodStart();
}

INSTANTIATE_TEST_SUITE_P(Mebibytes, TooLittleMemoryTest, ::testing::Values(20, 100, 600, 1400));

}  // namespace
}  // namespace torchdeploy
