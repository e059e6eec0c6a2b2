// Archives whose files change while they are mapped.
#include "runtime/src/archive_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <ios>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "runtime/src/file_lease.h"
#include "runtime/src/isolation/owned_fd.h"
#include "torchdeploy/status.h"
#include "torchdeploy/tensor.h"

#include "tests/cpp/runtime/fake_pool.h"

namespace torchdeploy {
namespace {

constexpr size_t kPageBytes = 4096;
constexpr size_t kSizeBytes = 5 * kPageBytes + 7;

std::string ReadAll(const std::string& path) {
  const std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

class ArchiveFileTest : public ::testing::Test {
 protected:
  ArchiveFileTest() {
    for (size_t i = 0; i < kSizeBytes; ++i) {
      bytes_.push_back(static_cast<char>(i * 31 % 251));
    }
    Rewrite(bytes_);
    const OwnedFd file(open(path_.c_str(), O_RDONLY | O_CLOEXEC));
    gives_leases_ = FileLease::Take(file, [] {}) != nullptr;
  }

  // In place, as `cp` does it.
  void Rewrite(const std::string& bytes) const {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << bytes;
  }

  std::shared_ptr<ArchiveFile> Open() {
    auto file = ArchiveFile::Open(path_);
    EXPECT_TRUE(file.ok()) << file.status().ToString();
    (*file)->SetWhileIdle([this](size_t slot, const std::function<void()>& work) {
      const std::lock_guard lock(idle_mutex_);
      moved_slots_.push_back(slot);
      work();
    });
    return *file;
  }

  void Fill(const Tensor& mapped, size_t at, size_t size_bytes, char byte) {
    const std::lock_guard lock(idle_mutex_);
    std::memset(static_cast<char*>(mapped.data()) + at, byte, size_bytes);
  }

  std::vector<size_t> MovedSlots() {
    const std::lock_guard lock(idle_mutex_);
    return moved_slots_;
  }

  static std::string BytesOf(const Tensor& tensor) {
    return {static_cast<const char*>(tensor.data()), tensor.size_bytes()};
  }

  const TemporaryFolder folder_;
  const std::string path_ = folder_.File("archive.pt");
  std::string bytes_;
  std::mutex idle_mutex_;  // Held by who writes to a mapping, as a call holds its interpreter.
  std::vector<size_t> moved_slots_;  // Guarded by idle_mutex_.
  bool gives_leases_ = false;        // The kernel, on this file system.
};

TEST_F(ArchiveFileTest, EachMappingKeepsItsOwnChanges) {
  const auto file = Open();
  const Result<Tensor> first = file->Map(0);
  const Result<Tensor> second = file->Map(1);
  ASSERT_TRUE(first.ok());
  ASSERT_TRUE(second.ok());
  Fill(*first, 0, 3, 'x');
  EXPECT_EQ(BytesOf(*first).substr(0, 4), "xxx" + bytes_.substr(3, 1));
  EXPECT_EQ(BytesOf(*second), bytes_);
  EXPECT_EQ(ReadAll(path_), bytes_);
}

TEST_F(ArchiveFileTest, TruncatedFileStaysWholeForThoseWhoHaveItMapped) {
  const auto file = Open();
  const Result<Tensor> written = file->Map(3);
  const Result<Tensor> read = file->Map();
  Fill(*written, kPageBytes, kPageBytes, 'x');
  Fill(*written, kSizeBytes - 1, 1, 'y');

  std::filesystem::resize_file(path_, 0);

  std::string expected = bytes_;
  expected.replace(kPageBytes, kPageBytes, kPageBytes, 'x').back() = 'y';
  EXPECT_EQ(BytesOf(*written), expected);
  EXPECT_EQ(BytesOf(*read), bytes_);
  EXPECT_EQ(BytesOf(*file->Map()), bytes_) << "a mapping made later is of the same bytes";
  EXPECT_EQ(MovedSlots(), gives_leases_ ? std::vector<size_t>{3} : std::vector<size_t>{});
}

TEST_F(ArchiveFileTest, FileThatIsRewrittenInPlaceStaysAsItWas) {
  const auto file = Open();
  const Result<Tensor> mapped = file->Map(0);
  Rewrite(std::string(kSizeBytes, 'z'));
  EXPECT_EQ(ReadAll(path_), std::string(kSizeBytes, 'z')) << "the writer must not be hindered";
  EXPECT_EQ(BytesOf(*mapped), bytes_);
}

TEST_F(ArchiveFileTest, FileThatSomebodyWritesToIsCopied) {
  const OwnedFd writer(open(path_.c_str(), O_WRONLY | O_CLOEXEC));
  const auto file = Open();
  const Result<Tensor> mapped = file->Map(0);
  ASSERT_EQ(ftruncate(writer.get(), 0), 0);
  EXPECT_EQ(BytesOf(*mapped), bytes_);
}

TEST_F(ArchiveFileTest, FileIsFreeOnceNothingIsMapped) {
  {
    const Result<Tensor> mapped = Open()->Map(0);
  }
  Rewrite("new");
  EXPECT_EQ(ReadAll(path_), "new");
  EXPECT_TRUE(MovedSlots().empty());
}

}  // namespace
}  // namespace torchdeploy
