#include "runtime/src/archive_reader.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/src/archive_failure.h"
#include "runtime/src/archive_file.h"
#include "runtime/src/memory_file.h"
#include "runtime/src/zip_directory.h"
#include "runtime/src/zip_record.h"
#include "runtime/src/zip_writer.h"
#include "torchdeploy/archive_format.h"
#include "torchdeploy/status.h"
#include "torchdeploy/tensor.h"

namespace torchdeploy {

namespace {

constexpr uint64_t kMaxManifestBytes = uint64_t{16} << 20U;

using Records = std::vector<ZipRecord>;

const ZipRecord* Find(const Records& records, const std::string& name) {
  const auto found = std::find_if(records.begin(), records.end(),
                                  [&](const ZipRecord& record) { return record.name == name; });
  return found == records.end() ? nullptr : &*found;
}

// A tensor's bytes.
bool IsStorage(const ZipRecord& record, ArchiveFormat format) {
  const size_t slash = record.name.find('/');
  if (slash == std::string_view::npos) {
    return false;
  }
  const std::string_view name = record.name.substr(slash);
  switch (format) {
    case ArchiveFormat::kTorchPackage:
      return name.starts_with("/.data/") && name.ends_with(".storage");
    case ArchiveFormat::kTorchScript:
      return name.starts_with("/data/") || name.starts_with("/constants/");
    case ArchiveFormat::kAotInductor:
      return false;  // They are in the code.
  }
  return false;
}

// Whether a name, if it were a path, stays below `root`, a folder.
bool IsInside(std::string_view name, std::string_view root) {
  if (!name.starts_with(root) || name.find('\0') != std::string_view::npos) {
    return false;
  }
  while (!name.empty()) {
    const size_t slash = std::min(name.find('/'), name.size());
    if (name.substr(0, slash) == "..") {
      return false;
    }
    name.remove_prefix(std::min(slash + 1, name.size()));
  }
  return true;
}

// The folder of the first record, with a slash.
std::string FirstFolder(const Records& records) {
  const std::string_view first = records.empty() ? "" : records.front().name;
  return std::string(first.substr(0, first.find('/') + 1));
}

// Of one that the ".pt2" functions of torch have written.
Result<ArchiveFormat> FormatOfPt2(const Records& records, const std::string& root,
                                  const std::string& path) {
  const std::string compiled = root + "data/aotinductor/";
  if (std::ranges::any_of(
          records, [&](const ZipRecord& record) { return record.name.starts_with(compiled); })) {
    return ArchiveFormat::kAotInductor;
  }
  return ArchiveFailure(Code::kInvalidArgument, path,
                        "holds an exported program that is not compiled; compile it with "
                        "torch._inductor.aoti_compile_and_package");
}

Result<ArchiveFormat> FormatOf(const Records& records, const std::string& path) {
  const std::string root = FirstFolder(records);
  const auto has = [&](const char* name) { return Find(records, root + name) != nullptr; };
  if (has(".data/version") || has("version")) {
    if (has(".data/extern_modules")) {
      return ArchiveFormat::kTorchPackage;
    }
    if (has("data.pkl") && has("constants.pkl")) {
      return ArchiveFormat::kTorchScript;
    }
    if (has("archive_format")) {
      return FormatOfPt2(records, root, path);
    }
  }
  return ArchiveFailure(
      Code::kDataLoss, path,
      "has neither the records '.data/version' and '.data/extern_modules', which "
      "torch.package.PackageExporter writes, nor 'version', 'data.pkl' and 'constants.pkl', which "
      "torch.jit.save writes, nor 'archive_format', which "
      "torch._inductor.aoti_compile_and_package writes (torch.save writes another format)");
}

// The folder that all records stand in, with a slash.
Result<std::string> RootOf(const Records& records, const std::string& path) {
  const std::string root = FirstFolder(records);
  for (const ZipRecord& record : records) {
    if (root == "/" || root == "./" || !IsInside(record.name, root)) {
      return ArchiveFailure(Code::kInvalidArgument, path,
                            "has the record " + Quoted(record.name) +
                                "; expected all records in one folder, and no '..' in names");
    }
  }
  return root;
}

Result<std::optional<std::string>> ReadManifest(const ZipRecord* record, const std::string& path) {
  if (record == nullptr) {
    return std::optional<std::string>();
  }
  if (record->size_bytes > kMaxManifestBytes) {
    return ArchiveFailure(Code::kInvalidArgument, path,
                          "has a manifest of " + std::to_string(record->size_bytes) +
                              " bytes; expected at most " + std::to_string(kMaxManifestBytes));
  }
  std::string text;
  Status status = ReadZipRecord(*record, path, [&text](std::span<const std::byte> bytes) {
    text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return Status();
  });
  if (!status.ok()) {
    return status;
  }
  return std::optional(std::move(text));
}

// Of all but weights, which are read when a call first touches them, or once, into memory.
Status CheckContents(const Records& records, ArchiveFormat format, const std::string& path) {
  for (const ZipRecord& record : records) {
    if (IsStorage(record, format) && !record.is_deflated) {
      continue;
    }
    Status status =
        ReadZipRecord(record, path, [](std::span<const std::byte> /*bytes*/) { return Status(); });
    if (!status.ok()) {
      return status;
    }
  }
  return {};
}

// REQUIRES: it is one of torch.package.
bool CanBeUsedInPlace(const ZipRecord& record, const Tensor& archive) {
  const auto offset =
      static_cast<size_t>(record.stored.data() - static_cast<const std::byte*>(archive.data()));
  return !record.is_deflated && (!IsStorage(record, ArchiveFormat::kTorchPackage) ||
                                 offset % ZipWriter::kAlignmentBytes == 0);
}

uint64_t MostBytesOnceStored(const Records& records) {
  uint64_t size_bytes = ZipWriter::kBytesAtEnd;
  for (const ZipRecord& record : records) {
    // No overflow: 262144 records of at most 1032 times the bytes of the file.
    size_bytes += ZipWriter::kMostBytesOfRecord + 2 * record.name.size() + record.size_bytes;
  }
  return size_bytes;
}

Status StoreRecord(const ZipRecord& record, const std::string& path, ZipWriter& writer,
                   MemoryFile& memory) {
  Status status = writer.BeginRecord(record.name, record.size_bytes, record.crc);
  if (!status.ok()) {
    return status;
  }
  return ReadZipRecord(record, path,
                       [&](std::span<const std::byte> bytes) { return memory.Append(bytes); });
}

// The same archive with all records stored.
Result<std::shared_ptr<ArchiveFile>> Store(const Records& records, const std::string& path) {
  Result<MemoryFile> memory = MemoryFile::Create(MostBytesOnceStored(records), path);
  if (!memory.ok()) {
    return memory.status();
  }
  ZipWriter writer(*memory);
  for (const ZipRecord& record : records) {
    if (Status status = StoreRecord(record, path, writer, *memory); !status.ok()) {
      return status;
    }
  }
  if (Status status = writer.Finish(); !status.ok()) {
    return status;
  }
  return ArchiveFile::OfMemory(path, *std::move(memory));
}

}  // namespace

Result<CheckedArchive> CheckArchive(std::shared_ptr<ArchiveFile> file) {
  const std::string& path = file->path();
  const Result<Tensor> bytes = file->Map();
  if (!bytes.ok()) {
    return bytes.status();
  }
  const Result<Records> records =
      ReadZipDirectory({static_cast<const std::byte*>(bytes->data()), bytes->size_bytes()}, path);
  if (!records.ok()) {
    return records.status();
  }
  const Result<ArchiveFormat> format = FormatOf(*records, path);
  if (!format.ok()) {
    return format.status();
  }
  const Result<std::string> root = RootOf(*records, path);
  if (!root.ok()) {
    return root.status();
  }
  const bool is_package = *format == ArchiveFormat::kTorchPackage;
  // The others put extra files in a folder.
  const std::string place = is_package ? *root : *root + "extra/";
  Result<std::optional<std::string>> manifest =
      ReadManifest(Find(*records, place + "torchdeploy/manifest.json"), path);
  if (!manifest.ok()) {
    return manifest.status();
  }
  const bool is_in_place =
      !is_package || std::all_of(records->begin(), records->end(), [&](const auto& record) {
        return CanBeUsedInPlace(record, *bytes);
      });
  if (is_in_place) {
    Status status = CheckContents(*records, *format, path);
    if (!status.ok()) {
      return status;
    }
    return CheckedArchive{*format, std::move(file), *std::move(manifest)};
  }
  Result<std::shared_ptr<ArchiveFile>> stored = Store(*records, path);
  if (!stored.ok()) {
    return stored.status();
  }
  return CheckedArchive{*format, *std::move(stored), *std::move(manifest)};
}

}  // namespace torchdeploy
