// Zip files that nobody wrote well, as the host checks them. What real interpreters make of them
// is in tests/python/integration/test_hostile_archives.py.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <ios>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/src/archive_failure.h"
#include "runtime/src/archive_file.h"
#include "runtime/src/archive_reader.h"
#include "runtime/src/memory_file.h"
#include "runtime/src/zip_directory.h"
#include "runtime/src/zip_record.h"
#include "runtime/src/zip_writer.h"
#include "torchdeploy/status.h"
#include "torchdeploy/tensor.h"

#include "tests/cpp/runtime/fake_pool.h"
#include "tests/fakes/archive_writer.h"

namespace torchdeploy {
namespace {

using ::testing::HasSubstr;
using Records = std::map<std::string, std::string>;

std::span<const std::byte> BytesOf(const std::string& text) {
  return std::as_bytes(std::span(text));
}

std::string Zip(const Records& records,
                fakes::Compression compression = fakes::Compression::kNone) {
  const TemporaryFolder folder;
  const std::string path = folder.File("archive.pt");
  fakes::WriteZip(path, records, compression);
  const std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// As the host writes them, which is not as libzip does: with sizes of 64 bits.
std::string ZipOf64Bits(const Records& records) {
  Result<MemoryFile> memory = MemoryFile::Create(1, "test");
  ZipWriter writer(*memory);
  const std::string plain = Zip(records);
  const auto directory = ReadZipDirectory(BytesOf(plain), "test");
  for (const ZipRecord& record : *directory) {
    EXPECT_TRUE(writer.BeginRecord(record.name, record.size_bytes, record.crc).ok());
    EXPECT_TRUE(memory->Append(record.stored).ok());
  }
  EXPECT_TRUE(writer.Finish().ok());
  const Tensor bytes = *ArchiveFile::OfMemory("test", *std::move(memory))->Map();
  return {static_cast<const char*>(bytes.data()), bytes.size_bytes()};
}

// What can be read of a file: nothing, or some records by name.
std::optional<Records> Read(const std::string& zip) {
  const auto records = ReadZipDirectory(BytesOf(zip), "test.pt");
  if (!records.ok()) {
    EXPECT_THAT(records.status().message(), HasSubstr("The archive 'test.pt' "));
    return std::nullopt;
  }
  Records found;
  for (const ZipRecord& record : *records) {
    std::string text;
    const Status status = ReadZipRecord(record, "test.pt", [&](std::span<const std::byte> bytes) {
      text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      return Status();
    });
    if (!status.ok()) {
      EXPECT_EQ(status.code(), Code::kDataLoss);
      return std::nullopt;
    }
    found.emplace(record.name, text);
  }
  return found;
}

Status Check(const std::string& zip) {
  const auto file = ArchiveFile::Copy(BytesOf(zip), "test.pt");
  return file.ok() ? CheckArchive(*file).status() : file.status();
}

const Records& SmallRecords() {
  static const Records records = {{"a/.data/0.storage", std::string(16, 'w')},
                                  {"a/.data/extern_modules", ""},
                                  {"a/.data/version", "6\n"},
                                  {"a/model.py", "def f(): pass\n"}};
  return records;
}

class ZipFormTest : public ::testing::TestWithParam<std::string> {
 protected:
  static std::string Whole() {
    if (GetParam() == "In64Bits") {
      return ZipOf64Bits(SmallRecords());
    }
    return Zip(SmallRecords(),
               GetParam() == "Deflated" ? fakes::Compression::kDeflate : fakes::Compression::kNone);
  }
};

TEST_P(ZipFormTest, IsReadAsLibzipReadsIt) {
  EXPECT_EQ(Read(Whole()), SmallRecords());
  EXPECT_EQ(fakes::ReadZip(Whole()), SmallRecords());
  EXPECT_TRUE(Check(Whole()).ok());
}

TEST_P(ZipFormTest, NoSingleBitMovesWhatIsRead) {
  const std::string whole = Whole();
  for (size_t bit = 0; bit < whole.size() * 8; ++bit) {
    std::string damaged = whole;
    damaged[bit / 8] = static_cast<char>(static_cast<unsigned>(damaged[bit / 8]) ^ 1U << bit % 8);
    const std::optional<Records> found = Read(damaged);
    if (found.has_value()) {
      EXPECT_EQ(*found, SmallRecords()) << "bit " << bit;
    }
  }
}

TEST_P(ZipFormTest, AFolderWithContentIsRefused) {
  constexpr size_t kAttributesAt = 38;  // In an entry of the directory.
  constexpr size_t kNameAt = 46;
  const std::string whole = Whole();
  size_t entries = 0;
  for (size_t at = whole.find("PK\1\2"); at != std::string::npos;
       at = whole.find("PK\1\2", at + 1)) {
    std::string damaged = whole;
    damaged[at + kAttributesAt] = '\x10';
    const auto record =
        std::find_if(SmallRecords().begin(), SmallRecords().end(), [&](const auto& each) {
          return whole.compare(at + kNameAt, each.first.size(), each.first) == 0;
        });
    ASSERT_NE(record, SmallRecords().end());
    EXPECT_EQ(Read(damaged).has_value(), record->second.empty()) << record->first;
    ++entries;
  }
  EXPECT_EQ(entries, SmallRecords().size());
}

TEST_P(ZipFormTest, FileCutShortOrGrownIsRefused) {
  const std::string whole = Whole();
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_EQ(Check(whole.substr(0, size)).code(), Code::kDataLoss) << size;
    EXPECT_EQ(Check(whole.substr(whole.size() - size)).code(), Code::kDataLoss) << size;
  }
  EXPECT_EQ(Check("x" + whole).code(), Code::kDataLoss);
  EXPECT_EQ(Check(whole + "x").code(), Code::kDataLoss);
}

TEST_P(ZipFormTest, FileOfManyDamagedBytesIsReadInsideItsBounds) {
  const std::string whole = Whole();
  std::mt19937 chance(7);  // NOLINT(bugprone-random-generator-seed): to be the same again.
  for (int round = 0; round < 20'000; ++round) {
    std::string damaged = whole;
    for (unsigned count = 1 + chance() % 8; count > 0; --count) {
      damaged[chance() % damaged.size()] = static_cast<char>(chance() % 3 == 0 ? 0xff : chance());
    }
    Read(damaged);
  }
}

INSTANTIATE_TEST_SUITE_P(All, ZipFormTest, ::testing::Values("Stored", "Deflated", "In64Bits"),
                         [](const auto& test) { return test.param; });

TEST(HostileArchiveTest, NamesThatLeadOutsideAreRefusedInOneLine) {
  for (const std::string name :
       {"../../evil", "/etc/evil", "archive/../../evil", "archive/a/..", "evil", "archives/evil"}) {
    Records records = fakes::RecordsOfArchive(std::nullopt);
    records.emplace(name, "evil");
    EXPECT_NE(Check(Zip(records)).code(), Code::kOk) << name;
  }
  Records records = fakes::RecordsOfArchive(std::nullopt);
  records.emplace("archive/x/../../" + std::string(5000, 'y'), "");
  const Status status = Check(Zip(records));
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("has the record 'archive/x/../../yyy"));
  EXPECT_LT(status.message().size(), 300U);
  EXPECT_EQ(Quoted("a\x1b[31m\n\xff"), R"('a\x1b[31m\x0a\xff')");
}

TEST(HostileArchiveTest, NamesThatOnlyLookSoAreTaken) {
  Records records = fakes::RecordsOfArchive(std::nullopt);
  records.insert({{"archive/..x", ""},
                  {"archive/x..", ""},
                  {"archive/.../x", ""},
                  {"archive//x", ""},
                  {"archive/folder/", ""}});
  EXPECT_EQ(Check(Zip(records)).ToString(), "OK");
}

// The file with the number at the `nth` place where `before` stands replaced, behind it.
std::string With(std::string zip, std::string_view before, size_t offset, uint32_t number) {
  size_t at = zip.find(before);
  EXPECT_NE(at, std::string::npos);
  std::memcpy(zip.data() + at + offset, &number, sizeof number);
  return zip;
}

TEST(HostileArchiveTest, SizesThatCannotBeAreRefusedBeforeAnyIsTaken) {
  const Records one = {{"archive/zeros", std::string(1000, '\0')}};
  const std::string stored = Zip(one);
  const std::string deflated = Zip(one, fakes::Compression::kDeflate);
  for (const uint32_t size : {0U, 999U, 1001U, 4'000'000'000U}) {
    EXPECT_FALSE(Read(With(stored, "PK\1\2", 24, size)).has_value()) << size;
    EXPECT_FALSE(Read(With(deflated, "PK\1\2", 24, size)).has_value()) << size;
  }
  EXPECT_THAT(Check(With(deflated, "PK\1\2", 24, 4'000'000'000U)).message(),
              HasSubstr("'archive/zeros' that is said to have 4000000000 bytes, which its "));
}

TEST(HostileArchiveTest, RecordsThatOverlapAreRefused) {
  const std::string zip = Zip({{"a/1", "same"}, {"a/2", "same"}});
  std::string second = zip.substr(zip.rfind("PK\1\2"));
  const size_t at = zip.size() - second.size();
  const std::string both = zip.substr(0, at) + With(second, "PK\1\2", 42, 0);
  EXPECT_TRUE(Read(zip).has_value());
  EXPECT_FALSE(Read(both).has_value());
}

TEST(HostileArchiveTest, CountsThatAreALieAreRefused) {
  const std::string zip = Zip(SmallRecords());
  for (const uint32_t count : {0U, 1U, 3U, 5U, 0xffffU}) {
    EXPECT_EQ(Check(With(zip, "PK\5\6", 8, count << 16U | count)).code(), Code::kDataLoss);
  }
}

TEST(HostileArchiveTest, ManifestOverItsLimitIsRefused) {
  for (const auto compression : {fakes::Compression::kNone, fakes::Compression::kDeflate}) {
    const Status status =
        Check(Zip(fakes::RecordsOfArchive(std::string(size_t{17} << 20U, ' ')), compression));
    EXPECT_EQ(status.code(), Code::kInvalidArgument);
    EXPECT_THAT(status.message(), HasSubstr("has a manifest of 17825792 bytes"));
  }
}

}  // namespace
}  // namespace torchdeploy
