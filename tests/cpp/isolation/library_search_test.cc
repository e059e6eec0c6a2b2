#include "runtime/src/isolation/library_search.h"

#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "runtime/src/isolation/elf_image.h"

namespace torchdeploy {
namespace {

namespace fs = std::filesystem;

TEST(LibrarySearchTest, FindsASystemLibraryByName) {
  const LibrarySearch search({});
  const auto path = search.Find("libstdc++.so.6", nullptr, {});
  ASSERT_TRUE(path.has_value());
  EXPECT_TRUE(fs::exists(*path));
  EXPECT_TRUE(search.IsFoundByName("libstdc++.so.6", *path));
}

TEST(LibrarySearchTest, AnUnknownNameIsNotFound) {
  EXPECT_FALSE(LibrarySearch({}).Find("libno_such_library.so.9", nullptr, {}).has_value());
}

TEST(LibrarySearchTest, APathIsTakenAsItIs) {
  EXPECT_EQ(LibrarySearch({}).Find(TD_COUNTER, nullptr, {}), TD_COUNTER);
  EXPECT_FALSE(LibrarySearch({}).Find("/nonexistent/libx.so", nullptr, {}).has_value());
}

TEST(LibrarySearchTest, TheFoldersOfTheLibraryThatNeedsItComeFirst) {
  const auto torch = ElfImage::Open(TD_LIBTORCH);
  const auto path = LibrarySearch({}).Find("libc10.so", &*torch, {});
  ASSERT_TRUE(path.has_value());
  EXPECT_TRUE(fs::equivalent(*path, fs::path(TD_LIBTORCH).parent_path() / "libc10.so"));
}

TEST(LibrarySearchTest, ExtraFoldersAreLookedThrough) {
  const fs::path counter = TD_COUNTER;
  const LibrarySearch search({counter.parent_path().string()});
  EXPECT_EQ(search.Find(counter.filename().string(), nullptr, {}), counter.string());
}

}  // namespace
}  // namespace torchdeploy
