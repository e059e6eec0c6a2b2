#include "runtime/src/isolation/elf_edit.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <set>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/src/isolation/elf_image.h"
#include "runtime/src/isolation/library_cache.h"

namespace torchdeploy {
namespace {

using testing::Contains;
using testing::Not;

// Writes the copy that `renaming` asks for and reads it back.
ElfImage Edited(const std::string& source, const Renaming& renaming) {
  const auto original = ElfImage::Open(source);
  const auto edit = PlanEdit(*original, renaming);
  EXPECT_TRUE(edit.ok()) << edit.status().ToString();
  const std::string root = testing::TempDir() + "elf_edit";
  const auto cache = LibraryCache::Open(root, "/usr/bin/env", {});
  const std::string path = (*cache)->PathFor(1, original->identity());
  EXPECT_TRUE((*cache)->Store(*original, *edit, path).ok());
  return *ElfImage::Open(path);
}

TEST(ElfEditTest, NeedsBecomePathsOfAnyLength) {
  const std::string long_path = "/" + std::string(1000, 'x') + "/libc10.so";
  const ElfImage copy = Edited(TD_LIBTORCH, {.needed = {{"libc10.so", long_path}},
                                             .in_place_of_libc = "/shim.so",
                                             .also_needed = "",
                                             .rpath = "",
                                             .symbols = {},
                                             .seal = "s"});
  EXPECT_THAT(copy.needed(), Contains(long_path));
  EXPECT_THAT(copy.needed(), Contains("/shim.so"));
  EXPECT_THAT(copy.needed(), Not(Contains("libc.so.6")));
}

TEST(ElfEditTest, VersionRequirementsFollowTheirLibrary) {
  const ElfImage copy = Edited(TD_PLUGIN, {.needed = {{"libc.so.6", "/other/libc.so.6"}},
                                           .in_place_of_libc = "",
                                           .also_needed = "",
                                           .rpath = "",
                                           .symbols = {},
                                           .seal = "s"});
  for (const auto& need : copy.VersionNeeds()) {
    EXPECT_NE(need.library, "libc.so.6");
  }
}

TEST(ElfEditTest, NoUniqueSymbolIsLeft) {
  EXPECT_GT(ElfImage::Open(TD_COUNTER)->UniqueSymbolInfoOffsets().size(), 0U);
  const ElfImage copy = Edited(TD_COUNTER, {});
  EXPECT_TRUE(copy.UniqueSymbolInfoOffsets().empty());
}

TEST(ElfEditTest, TheCopyHasNoNameByWhichOthersCouldFindIt) {
  EXPECT_EQ(ElfImage::Open(TD_COUNTER)->soname(), "libtd_fixture_counter.so");
  EXPECT_EQ(Edited(TD_COUNTER, {}).soname(), "");
}

TEST(ElfEditTest, EveryUneditedByteStaysAtItsOffset) {
  const auto original = ElfImage::Open(TD_COUNTER);
  const auto edit = PlanEdit(*original, {.needed = {},
                                         .in_place_of_libc = "/shim.so",
                                         .also_needed = "",
                                         .rpath = "",
                                         .symbols = {},
                                         .seal = "s"});
  ASSERT_TRUE(edit.ok());
  const ElfImage copy = Edited(TD_COUNTER, {.needed = {},
                                            .in_place_of_libc = "/shim.so",
                                            .also_needed = "",
                                            .rpath = "",
                                            .symbols = {},
                                            .seal = "s"});
  std::set<uint64_t> edited;
  for (const auto& patch : edit->patches) {
    for (size_t i = 0; i < patch.bytes.size(); ++i) {
      edited.insert(patch.offset + i);
    }
  }
  ASSERT_LT(edited.size(), 1000U);
  for (uint64_t at = 0; at < original->bytes().size(); ++at) {
    if (!edited.contains(at)) {
      ASSERT_EQ(copy.bytes()[at], original->bytes()[at]) << at;
    }
  }
}

TEST(ElfEditTest, TheTailOfAHugeLibraryIsNotCopied) {
  const auto original = ElfImage::Open(TD_LIBTORCH);
  const auto edit = PlanEdit(*original, {});
  ASSERT_TRUE(edit.ok());
  EXPECT_LT(edit->size_bytes(), original->bytes().size() - (16U << 20U));
}

}  // namespace
}  // namespace torchdeploy
