#include "runtime/src/isolation/elf_image.h"

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace torchdeploy {
namespace {

namespace fs = std::filesystem;
using testing::Contains;
using testing::HasSubstr;

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

TEST(ElfImageTest, ReadsWhatARealLibtorchNeeds) {
  const auto image = ElfImage::Open(TD_LIBTORCH);
  ASSERT_TRUE(image.ok()) << image.status().ToString();
  EXPECT_EQ(image->soname(), "libtorch_cpu.so");
  EXPECT_THAT(image->needed(), Contains("libc10.so"));
  EXPECT_THAT(image->needed(), Contains("libc.so.6"));
  EXPECT_GT(image->UniqueSymbolInfoOffsets().size(), 100U);
}

TEST(ElfImageTest, FindsTheVersionRequirementsOnLibc) {
  const auto image = ElfImage::Open(TD_LIBTORCH);
  ASSERT_TRUE(image.ok());
  bool names_libc = false;
  for (const auto& need : image->VersionNeeds()) {
    names_libc = names_libc || need.library == "libc.so.6";
  }
  EXPECT_TRUE(names_libc);
}

TEST(ElfImageTest, AMissingFileIsNotFound) {
  const auto image = ElfImage::Open("/nonexistent/libx.so");
  ASSERT_FALSE(image.ok());
  EXPECT_EQ(image.status().code(), Code::kNotFound);
  EXPECT_THAT(image.status().message(), HasSubstr("/nonexistent/libx.so"));
}

TEST(ElfImageTest, ATextFileIsRefusedByName) {
  const std::string path = testing::TempDir() + "not_a_library.so";
  std::ofstream(path) << std::string(200, 'x');
  const auto image = ElfImage::Open(path);
  ASSERT_FALSE(image.ok());
  EXPECT_EQ(image.status().code(), Code::kInvalidArgument);
  EXPECT_THAT(image.status().message(), HasSubstr(path));
}

TEST(ElfImageTest, ALibraryCutAnywhereGivesAnErrorOrAnImageAndNoFault) {
  const std::string whole = ReadFile(TD_COUNTER);
  const std::string path = testing::TempDir() + "cut.so";
  for (size_t size = 0; size < whole.size(); size += 61) {
    std::ofstream(path, std::ios::binary | std::ios::trunc).write(whole.data(), size);
    const auto image = ElfImage::Open(path);
    if (image.ok()) {
      EXPECT_LE(image->VersionNeeds().size(), size);
      EXPECT_LE(image->UniqueSymbolInfoOffsets().size(), size);
    }
    if (size < 4096) {
      EXPECT_FALSE(image.ok()) << size;
    }
  }
}

TEST(ElfImageTest, AnyByteOfTheHeadersMayBeWrongWithoutAFault) {
  const std::string whole = ReadFile(TD_COUNTER);
  const std::string path = testing::TempDir() + "flipped.so";
  for (size_t at = 0; at < 0x400; ++at) {
    std::string flipped = whole;
    flipped[at] = static_cast<char>(~flipped[at]);
    std::ofstream(path, std::ios::binary | std::ios::trunc) << flipped;
    const auto image = ElfImage::Open(path);
    if (image.ok()) {
      EXPECT_LE(image->needed().size(), whole.size());
      EXPECT_LE(image->VersionNeeds().size(), whole.size());
      EXPECT_LE(image->UniqueSymbolInfoOffsets().size(), whole.size());
    }
  }
}

}  // namespace
}  // namespace torchdeploy
