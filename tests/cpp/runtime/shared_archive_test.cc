// Archives that cannot be mapped as they are: compressed, or in memory already.
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <ios>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <sstream>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "runtime/src/archive_file.h"
#include "runtime/src/archive_reader.h"
#include "runtime/src/zip_directory.h"
#include "torchdeploy/interpreter_manager.h"
#include "torchdeploy/options.h"
#include "torchdeploy/package.h"
#include "torchdeploy/status.h"
#include "torchdeploy/tensor.h"
#include "torchdeploy/value.h"

#include "tests/cpp/runtime/fake_pool.h"
#include "tests/fakes/archive_writer.h"

namespace torchdeploy {
namespace {

constexpr std::string_view kWeight = "archive/.data/0.storage";

class SharedArchiveTest : public ::testing::Test {
 protected:
  SharedArchiveTest() { records_.emplace(kWeight, std::string(5000, 'w')); }

  void Write(fakes::Compression compression) const {
    fakes::WriteZip(path_, records_, compression);
  }

  [[nodiscard]] std::string ReadFile() const {
    const std::ifstream file(path_, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }

  [[nodiscard]] std::shared_ptr<ArchiveFile> Open() const { return *ArchiveFile::Open(path_); }

  static std::string TextOf(const Tensor& tensor) {
    return {static_cast<const char*>(tensor.data()), tensor.size_bytes()};
  }

  // Checks that the weight can be used where it lies.
  static void ExpectAligned(const std::string& archive) {
    const auto records = ReadZipDirectory(std::as_bytes(std::span(archive)), "test");
    ASSERT_TRUE(records.ok()) << records.status().ToString();
    for (const ZipRecord& record : *records) {
      EXPECT_FALSE(record.is_deflated) << record.name;
      if (record.name == kWeight) {
        EXPECT_EQ((reinterpret_cast<const char*>(record.stored.data()) - archive.data()) % 64, 0);
      }
    }
  }

  const TemporaryFolder folder_;
  const std::string path_ = folder_.File("model.pt");
  std::map<std::string, std::string> records_ = fakes::RecordsOfArchive(std::nullopt);
};

TEST_F(SharedArchiveTest, CompressedArchiveBecomesOneWhoseRecordsAreStored) {
  Write(fakes::Compression::kDeflate);
  const std::string before = ReadFile();
  const Result<CheckedArchive> archive = CheckArchive(Open());
  ASSERT_TRUE(archive.ok()) << archive.status().ToString();
  const std::string stored = TextOf(*archive->file->Map());
  ExpectAligned(stored);
  EXPECT_EQ(fakes::ReadZip(stored), records_);
  EXPECT_EQ(archive->file->path(), path_);
  EXPECT_EQ(ReadFile(), before) << "the file is nobody's to write";
}

TEST_F(SharedArchiveTest, WeightsThatAreNotAlignedAreMoved) {
  Write(fakes::Compression::kNone);
  const std::string odd = "archive/" + std::string(60, 'x');
  for (size_t length = 10; length < 74; ++length) {
    records_.emplace(odd.substr(0, length), "");
    Write(fakes::Compression::kNone);
    const Result<CheckedArchive> archive = CheckArchive(Open());
    ASSERT_TRUE(archive.ok()) << archive.status().ToString();
    ExpectAligned(TextOf(*archive->file->Map()));
  }
}

TEST_F(SharedArchiveTest, ArchiveThatCanBeMappedAsItIsIsNotCopied) {
  records_.erase(std::string(kWeight));
  Write(fakes::Compression::kNone);
  const std::shared_ptr<ArchiveFile> file = Open();
  const Result<CheckedArchive> archive = CheckArchive(file);
  ASSERT_TRUE(archive.ok());
  EXPECT_EQ(archive->file, file);
}

TEST_F(SharedArchiveTest, DamagedCompressedWeightIsFound) {
  Write(fakes::Compression::kDeflate);
  std::string bytes = ReadFile();
  const size_t data_at = bytes.find(kWeight) + kWeight.size();
  bytes[data_at + 3] = static_cast<char>(~bytes[data_at + 3]);
  const auto file = ArchiveFile::Copy(std::as_bytes(std::span(bytes)), "small.pt");
  const Status status = CheckArchive(*file).status();
  EXPECT_EQ(status.code(), Code::kDataLoss);
  EXPECT_NE(status.message().find("The archive 'small.pt' has a damaged record '"),
            std::string::npos);
}

TEST_F(SharedArchiveTest, ArchiveInMemoryIsCalledAndNamed) {
  const auto manager = MakeManager(2);
  Write(fakes::Compression::kDeflate);
  std::string bytes = ReadFile();
  const Result<Package> package =
      manager->LoadPackage(std::as_bytes(std::span(bytes)), "from the registry");
  ASSERT_TRUE(package.ok()) << package.status().ToString();
  bytes.assign(bytes.size(), '\0');
  EXPECT_EQ(package->path(), "from the registry");
  const auto y = package->LoadPickle("model", "echo.pkl").Call({Value(3)});
  ASSERT_TRUE(y.ok()) << y.status().ToString();
}

TEST_F(SharedArchiveTest, EachArchiveIsShownToWhoChecksItAsItIs) {
  std::string path;
  std::string shown;
  Options options = FakeOptions(1);
  options.check_archive = [&](const std::string& name, std::span<const std::byte> bytes) {
    path = name;
    shown.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return Status();
  };
  const auto manager = InterpreterManager::Create(options);
  ASSERT_TRUE(manager.ok());
  Write(fakes::Compression::kDeflate);
  const std::string bytes = ReadFile();
  ASSERT_TRUE((*manager)->LoadPackage(path_).ok());
  EXPECT_EQ(path, path_);
  EXPECT_EQ(shown, bytes);
  shown.clear();
  ASSERT_TRUE((*manager)->LoadPackage(std::as_bytes(std::span(bytes)), "in memory").ok());
  EXPECT_EQ(path, "in memory");
  EXPECT_EQ(shown, bytes);
}

TEST_F(SharedArchiveTest, AnArchiveThatIsRefusedIsNotLoaded) {
  Options options = FakeOptions(1);
  options.check_archive = [](const std::string&, std::span<const std::byte>) {
    return Status(Code::kPermissionDenied, "not this one");
  };
  const auto manager = InterpreterManager::Create(options);
  ASSERT_TRUE(manager.ok());
  Write(fakes::Compression::kNone);
  const Status status = (*manager)->LoadPackage(path_).status();
  EXPECT_EQ(status.code(), Code::kPermissionDenied);
  EXPECT_EQ(status.message(), "not this one");
}

TEST_F(SharedArchiveTest, MemoryThatHoldsNoArchiveIsRefused) {
  const auto manager = MakeManager(1);
  const std::string text = "no archive";
  const auto bytes = std::as_bytes(std::span(text));
  EXPECT_EQ(manager->LoadPackage(bytes, "x").status().code(), Code::kDataLoss);
  EXPECT_EQ(manager->LoadPackage(bytes.first(0), "x").status().code(), Code::kDataLoss);
  EXPECT_EQ(manager->LoadPackage(bytes, "").status().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace torchdeploy
