#include "runtime/src/isolation/library_cache.h"

#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/src/isolation/elf_edit.h"
#include "runtime/src/isolation/elf_image.h"
#include "runtime/src/isolation/file_identity.h"

#include <sys/wait.h>

namespace torchdeploy {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class LibraryCacheTest : public testing::Test {
 protected:
  LibraryCacheTest() : root_(testing::TempDir() + "cache_" + std::to_string(getpid())) {
    fs::remove_all(root_);
  }
  ~LibraryCacheTest() override { fs::remove_all(root_); }

  [[nodiscard]] std::unique_ptr<LibraryCache> OpenCache(uint64_t state = 1) const {
    auto cache = LibraryCache::Open(
        root_, "/usr/bin/env",
        {FileIdentity{.path = "/x", .device = 0, .inode = state, .size_bytes = 0, .mtime_ns = 0}});
    EXPECT_TRUE(cache.ok()) << cache.status().ToString();
    return *std::move(cache);
  }

  // Stores the fixture and returns where.
  std::string StoreFixture(const LibraryCache& cache) const {
    const std::string path = cache.PathFor(1, original_.identity());
    const Status status = cache.Store(original_, edit_, path);
    EXPECT_TRUE(status.ok()) << status.ToString();
    return path;
  }

  std::string root_;
  ElfImage original_ = *ElfImage::Open(TD_COUNTER);
  ElfEdit edit_ = *PlanEdit(original_, {.needed = {},
                                        .in_place_of_libc = "/shim.so",
                                        .also_needed = "",
                                        .rpath = "",
                                        .seal = "seal"});
};

TEST_F(LibraryCacheTest, AWholeCopyIsUsedAgain) {
  const auto cache = OpenCache();
  const std::string path = StoreFixture(*cache);
  const auto first = IdentifyFile(path);
  StoreFixture(*cache);
  EXPECT_EQ(*IdentifyFile(path), *first);
}

TEST_F(LibraryCacheTest, TheCopyKeepsItsFileName) {
  EXPECT_EQ(fs::path(StoreFixture(*OpenCache())).filename(), fs::path(TD_COUNTER).filename());
}

TEST_F(LibraryCacheTest, ATornCopyIsMadeAgain) {
  const auto cache = OpenCache();
  const std::string path = StoreFixture(*cache);
  fs::resize_file(path, 100);
  StoreFixture(*cache);
  EXPECT_EQ(fs::file_size(path), edit_.size_bytes());
}

TEST_F(LibraryCacheTest, ACopyThatSomebodyWroteToIsMadeAgain) {
  const auto cache = OpenCache();
  const std::string path = StoreFixture(*cache);
  std::fstream(path, std::ios::in | std::ios::out | std::ios::binary).seekp(3000).put('!');
  StoreFixture(*cache);
  EXPECT_EQ(ElfImage::Open(path)->bytes()[3000], original_.bytes()[3000]);
}

TEST_F(LibraryCacheTest, AForeignFileOfTheSameSizeAndTimeIsReplaced) {
  const auto cache = OpenCache();
  const std::string path = StoreFixture(*cache);
  const auto time = fs::last_write_time(path);
  std::ofstream(path, std::ios::trunc) << std::string(edit_.size_bytes(), 'x');
  fs::last_write_time(path, time);
  StoreFixture(*cache);
  EXPECT_TRUE(ElfImage::Open(path).ok());
}

TEST_F(LibraryCacheTest, ManyProcessesMakeTheSameCopyAtOnce) {
  std::vector<pid_t> children;
  for (int i = 0; i < 8; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      const auto cache = LibraryCache::Open(root_, "/usr/bin/env", {});
      bool good = cache.ok();
      for (int k = 0; good && k < 20; ++k) {
        const std::string path = (*cache)->PathFor(static_cast<uint32_t>(k), original_.identity());
        good = (*cache)->Store(original_, edit_, path).ok() &&
               fs::file_size(path) == edit_.size_bytes();
      }
      _exit(good ? 0 : 1);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
}

TEST_F(LibraryCacheTest, AGenerationThatNoProcessUsesIsRemoved) {
  const std::string old_folder = OpenCache(1)->folder();
  const auto cache = OpenCache(2);
  EXPECT_FALSE(fs::exists(old_folder));
  EXPECT_TRUE(fs::exists(cache->folder()));
}

TEST_F(LibraryCacheTest, AGenerationThatAnotherProcessUsesStays) {
  std::array<int, 2> ready{};
  std::array<int, 2> done{};
  ASSERT_EQ(pipe(ready.data()), 0);
  ASSERT_EQ(pipe(done.data()), 0);
  const pid_t child = fork();
  if (child == 0) {
    close(done[1]);
    const auto cache = LibraryCache::Open(root_, "/usr/bin/env", {});
    char byte = 'r';
    const bool said = write(ready[1], &byte, 1) == 1;
    const bool heard = read(done[0], &byte, 1) == 0;
    _exit(said && heard && fs::exists((*cache)->folder()) ? 0 : 1);
  }
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  const auto newer = OpenCache(2);
  close(done[1]);
  int status = -1;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  close(ready[0]);
  close(ready[1]);
  close(done[0]);
}

TEST_F(LibraryCacheTest, GenerationsOfAPythonThatIsGoneAreRemoved) {
  const std::string python = testing::TempDir() + "python_" + std::to_string(getpid());
  std::ofstream(python) << "x";
  std::string folder;
  {
    const auto cache = LibraryCache::Open(root_, python, {});
    folder = (*cache)->folder();
  }
  auto cache = OpenCache();
  EXPECT_TRUE(fs::exists(folder)) << "its Python is still there";
  fs::remove(python);
  cache = OpenCache();
  EXPECT_FALSE(fs::exists(folder));
}

TEST_F(LibraryCacheTest, AFolderThatCannotBeMadeIsNamed) {
  const auto cache = LibraryCache::Open("/sys/torchdeploy", "/usr/bin/env", {});
  ASSERT_FALSE(cache.ok());
  EXPECT_EQ(cache.status().code(), Code::kPermissionDenied);
  EXPECT_THAT(cache.status().message(), HasSubstr("/sys/torchdeploy"));
}

TEST_F(LibraryCacheTest, AFullDiskIsAnErrorThatNamesTheFile) {
  const auto cache = OpenCache();
  const Status status = cache->Store(original_, edit_, "/dev/full/copy.so");
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(status.message(), HasSubstr("/dev/full"));
}

}  // namespace
}  // namespace torchdeploy
