#include "runtime/src/zip_directory.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/src/archive_failure.h"
#include "runtime/src/zip_format.h"
#include "torchdeploy/status.h"

namespace torchdeploy {

namespace {

using Bytes = std::span<const std::byte>;

constexpr uint64_t kMaxRecords = uint64_t{1} << 18U;
// Deflate makes at most 258 bytes of 2 bits. Source: RFC 1951, 3.2.5.
constexpr uint64_t kMostInflation = 1032;

uint64_t Number(Bytes bytes, size_t at, size_t width) {
  uint64_t value = 0;
  for (size_t i = width; i > 0; --i) {
    value = value << 8U | std::to_integer<uint64_t>(bytes[at + i - 1]);
  }
  return value;
}

template <typename T>
T Read(Bytes bytes, size_t at) {
  return static_cast<T>(Number(bytes, at, sizeof(T)));
}

// `size` bytes from `at` on, or nothing where there are not as many.
std::optional<Bytes> Piece(Bytes bytes, uint64_t at, uint64_t size) {
  if (at > bytes.size() || size > bytes.size() - at) {
    return std::nullopt;
  }
  return bytes.subspan(at, size);
}

std::optional<Bytes> Signed(Bytes bytes, uint64_t at, uint64_t size, uint32_t signature) {
  const std::optional<Bytes> piece = Piece(bytes, at, size);
  return piece.has_value() && Read<uint32_t>(*piece, 0) == signature ? piece : std::nullopt;
}

std::string_view TextOf(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// What the end of the file says of the directory.
struct Directory {
  uint64_t count;
  uint64_t size;
  uint64_t offset;
};

// Where the last end record stands, behind which only its comment lies.
std::optional<uint64_t> FindEnd(Bytes archive) {
  constexpr uint64_t kFarthest = zip::kEndBytes + 0xffff;
  if (archive.size() < zip::kEndBytes) {
    return std::nullopt;
  }
  const uint64_t last = archive.size() - zip::kEndBytes;
  const uint64_t first = archive.size() - std::min<uint64_t>(archive.size(), kFarthest);
  for (uint64_t at = last + 1; at-- > first;) {
    if (Read<uint32_t>(archive, at) == zip::kEndSignature) {
      const auto comment = Read<uint16_t>(archive, at + zip::kEndCommentLengthAt);
      return at + zip::kEndBytes + comment == archive.size() ? std::optional(at) : std::nullopt;
    }
  }
  return std::nullopt;
}

std::optional<Directory> FindDirectory(Bytes archive) {
  const std::optional<uint64_t> found = FindEnd(archive);
  if (!found.has_value()) {
    return std::nullopt;
  }
  uint64_t end = *found;
  Directory directory{Read<uint16_t>(archive, end + zip::kEndCountAt),
                      Read<uint32_t>(archive, end + zip::kEndDirectorySizeAt),
                      Read<uint32_t>(archive, end + zip::kEndDirectoryOffsetAt)};
  const auto locator =
      end < zip::kLocatorBytes
          ? std::nullopt
          : Signed(archive, end - zip::kLocatorBytes, zip::kLocatorBytes, zip::kLocatorSignature);
  if (locator.has_value()) {
    end = Read<uint64_t>(*locator, zip::kLocatorOffsetAt);
    const auto end64 = Signed(archive, end, zip::kEnd64Bytes, zip::kEnd64Signature);
    if (!end64.has_value()) {
      return std::nullopt;
    }
    directory = {Read<uint64_t>(*end64, zip::kEnd64CountAt),
                 Read<uint64_t>(*end64, zip::kEnd64DirectorySizeAt),
                 Read<uint64_t>(*end64, zip::kEnd64DirectoryOffsetAt)};
  }
  const bool is_possible = directory.size <= end && directory.offset == end - directory.size &&
                           directory.count <= directory.size / zip::kEntryBytes;
  return is_possible ? std::optional(directory) : std::nullopt;
}

// Goes through the entries of the directory, and in step with it through the file.
class RecordReader {
 public:
  RecordReader(Bytes archive, const Directory& directory, const std::string& path)
      : path_(path),
        before_(archive.first(directory.offset)),
        entries_(archive.subspan(directory.offset, directory.size)) {}

  Result<ZipRecord> Next() {
    const auto fixed = Signed(entries_, 0, zip::kEntryBytes, zip::kEntrySignature);
    if (!fixed.has_value()) {
      return Damaged("has a damaged directory");
    }
    const auto name_length = Read<uint16_t>(*fixed, zip::kEntryNameLengthAt);
    const auto extra_length = Read<uint16_t>(*fixed, zip::kEntryExtraLengthAt);
    const uint64_t length = uint64_t{zip::kEntryBytes} + name_length + extra_length +
                            Read<uint16_t>(*fixed, zip::kEntryCommentLengthAt);
    if (length > entries_.size()) {
      return Damaged("has a damaged directory");
    }
    Entry entry{*fixed, entries_.subspan(zip::kEntryBytes, name_length)};
    const Bytes extra = entries_.subspan(zip::kEntryBytes + name_length, extra_length);
    entries_ = entries_.subspan(length);
    const std::string quoted = Quoted(TextOf(entry.name));
    if (!ReadSizes(extra, entry)) {
      return Damaged("has a damaged entry for the record " + quoted);
    }
    if (const std::string problem = ProblemOf(entry); !problem.empty()) {
      return Damaged("has a record " + quoted + " that " + problem);
    }
    const std::optional<Bytes> stored = TakeStored(entry);
    if (!stored.has_value()) {
      return Damaged("has a damaged record " + quoted +
                     "; expected it where the one before ends, and its header as in the directory");
    }
    return ZipRecord{TextOf(entry.name), *stored, entry.size, entry.Crc(),
                     entry.Method() == zip::kDeflated};
  }

  [[nodiscard]] bool IsAtEnd() const { return entries_.empty() && at_ == before_.size(); }

 private:
  struct Entry {
    Bytes fixed;
    Bytes name;
    uint64_t size = 0;
    uint64_t stored_size = 0;
    uint64_t offset = 0;

    [[nodiscard]] uint16_t Flags() const { return Read<uint16_t>(fixed, zip::kEntryFlagsAt); }
    [[nodiscard]] uint16_t Method() const { return Read<uint16_t>(fixed, zip::kEntryMethodAt); }
    [[nodiscard]] uint32_t Crc() const { return Read<uint32_t>(fixed, zip::kEntryCrcAt); }
  };

  [[nodiscard]] Status Damaged(const std::string& what) const {
    return ArchiveFailure(Code::kDataLoss, path_, what);
  }

  // The field of sizes in 64 bits, empty when there is none; nothing when `extra` is damaged.
  static std::optional<Bytes> FindSizes(Bytes extra) {
    Bytes sizes;
    while (!extra.empty()) {
      const auto header = Piece(extra, 0, zip::kExtraBytes);
      const auto field = header.has_value()
                             ? Piece(extra, zip::kExtraBytes, Read<uint16_t>(*header, 2))
                             : std::nullopt;
      if (!field.has_value()) {
        return std::nullopt;
      }
      if (Read<uint16_t>(*header, 0) == zip::kExtraOfSizes && sizes.empty()) {
        sizes = *field;
      }
      extra = extra.subspan(zip::kExtraBytes + field->size());
    }
    return sizes;
  }

  static bool ReadSizes(Bytes extra, Entry& entry) {
    std::optional<Bytes> in_64_bits = FindSizes(extra);
    if (!in_64_bits.has_value()) {
      return false;
    }
    const std::array<std::pair<size_t, uint64_t*>, 3> numbers = {
        {{zip::kEntrySizeAt, &entry.size},
         {zip::kEntryStoredSizeAt, &entry.stored_size},
         {zip::kEntryOffsetAt, &entry.offset}}};
    for (const auto& [at, number] : numbers) {
      *number = Read<uint32_t>(entry.fixed, at);
      if (*number != zip::kIn64Bits) {
        continue;
      }
      if (in_64_bits->size() < sizeof(uint64_t)) {
        return false;
      }
      *number = Read<uint64_t>(*in_64_bits, 0);
      in_64_bits = in_64_bits->subspan(sizeof(uint64_t));
    }
    return true;
  }

  // Empty when there is none.
  static std::string ProblemOf(const Entry& entry) {
    if ((entry.Flags() & zip::kIsEncrypted) != 0) {
      return "is encrypted";
    }
    if (entry.Method() != zip::kStored && entry.Method() != zip::kDeflated) {
      return "is compressed by method " + std::to_string(entry.Method()) +
             "; expected 0 (stored) or 8 (deflate)";
    }
    // torch's reader gives zeros for the content of what it takes for a folder.
    const auto attributes = Read<uint32_t>(entry.fixed, zip::kEntryAttributesAt);
    if ((attributes & zip::kIsFolder) != 0 && entry.size > 0) {
      return "is said to be a folder, with " + std::to_string(entry.size) + " bytes";
    }
    const bool fits = entry.Method() == zip::kStored
                          ? entry.size == entry.stored_size
                          : entry.size / kMostInflation <= entry.stored_size;
    return fits ? ""
                : "is said to have " + std::to_string(entry.size) + " bytes, which its " +
                      std::to_string(entry.stored_size) + " in the file cannot be";
  }

  // Goes to where the next record begins; nothing when this one is not as its entry says.
  std::optional<Bytes> TakeStored(const Entry& entry) {
    if (entry.offset != at_) {
      return std::nullopt;
    }
    const auto header = Signed(before_, at_, zip::kLocalBytes, zip::kLocalSignature);
    if (!header.has_value() || Read<uint16_t>(*header, zip::kLocalFlagsAt) != entry.Flags() ||
        Read<uint16_t>(*header, zip::kLocalMethodAt) != entry.Method()) {
      return std::nullopt;
    }
    const auto name_length = Read<uint16_t>(*header, zip::kLocalNameLengthAt);
    const auto name = Piece(before_, at_ + zip::kLocalBytes, name_length);
    if (!name.has_value() || TextOf(*name) != TextOf(entry.name)) {
      return std::nullopt;
    }
    const uint64_t data_at =
        at_ + zip::kLocalBytes + name_length + Read<uint16_t>(*header, zip::kLocalExtraLengthAt);
    const auto stored = Piece(before_, data_at, entry.stored_size);
    if (!stored.has_value()) {
      return std::nullopt;
    }
    at_ = data_at + entry.stored_size;
    if ((entry.Flags() & zip::kHasDescriptor) != 0 && !SkipDescriptor(entry)) {
      return std::nullopt;
    }
    return stored;
  }

  // Which has or lacks a signature, and sizes of 64 or 32 bits.
  bool SkipDescriptor(const Entry& entry) {
    constexpr size_t kSignatureBytes = sizeof(zip::kDescriptorSignature);
    return SkipDescriptor(entry, kSignatureBytes, sizeof(uint64_t)) ||
           SkipDescriptor(entry, kSignatureBytes, sizeof(uint32_t)) ||
           SkipDescriptor(entry, 0, sizeof(uint64_t)) || SkipDescriptor(entry, 0, sizeof(uint32_t));
  }

  bool SkipDescriptor(const Entry& entry, size_t crc_at, size_t width) {
    const size_t sizes_at = crc_at + sizeof(uint32_t);
    const auto piece = Piece(before_, at_, sizes_at + 2 * width);
    const bool is_one = piece.has_value() &&
                        (crc_at == 0 || Read<uint32_t>(*piece, 0) == zip::kDescriptorSignature) &&
                        Read<uint32_t>(*piece, crc_at) == entry.Crc() &&
                        Number(*piece, sizes_at, width) == entry.stored_size &&
                        Number(*piece, sizes_at + width, width) == entry.size;
    at_ += is_one ? piece->size() : 0;
    return is_one;
  }

  const std::string& path_;
  const Bytes before_;  // What lies before the directory.
  uint64_t at_ = 0;     // How far it has been read.
  Bytes entries_;       // Not yet read.
};

// A name that two records have, or nothing.
std::optional<std::string_view> NameOfTwo(const std::vector<ZipRecord>& records) {
  std::vector<std::string_view> names;
  names.reserve(records.size());
  for (const ZipRecord& record : records) {
    names.push_back(record.name);
  }
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  return twice == names.end() ? std::nullopt : std::optional(*twice);
}

}  // namespace

Result<std::vector<ZipRecord>> ReadZipDirectory(Bytes archive, const std::string& path) {
  const std::optional<Directory> directory = FindDirectory(archive);
  if (!directory.has_value()) {
    return ArchiveFailure(
        Code::kDataLoss, path,
        "is not a zip file or is cut short; expected one written by torch.package");
  }
  if (directory->count > kMaxRecords) {
    return ArchiveFailure(Code::kResourceExhausted, path,
                          "has " + std::to_string(directory->count) +
                              " records; expected at most " + std::to_string(kMaxRecords));
  }
  RecordReader reader(archive, *directory, path);
  std::vector<ZipRecord> records;
  records.reserve(directory->count);
  while (records.size() < directory->count) {
    const Result<ZipRecord> record = reader.Next();
    if (!record.ok()) {
      return record.status();
    }
    records.push_back(*record);
  }
  if (!reader.IsAtEnd()) {
    return ArchiveFailure(Code::kDataLoss, path,
                          "has more in it than its " + std::to_string(records.size()) + " records");
  }
  if (const auto twice = NameOfTwo(records); twice.has_value()) {
    return ArchiveFailure(Code::kDataLoss, path, "has the record " + Quoted(*twice) + " twice");
  }
  return records;
}

}  // namespace torchdeploy
