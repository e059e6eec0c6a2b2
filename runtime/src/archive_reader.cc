#include "runtime/src/archive_reader.h"

#include <zip.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "runtime/src/archive_file.h"
#include "torchdeploy/status.h"
#include "torchdeploy/tensor.h"

namespace torchdeploy {

namespace {

constexpr uint64_t kMaxManifestBytes = uint64_t{16} << 20U;

struct CloseArchive {
  void operator()(zip_t* archive) const { zip_discard(archive); }
};
using Archive = std::unique_ptr<zip_t, CloseArchive>;

struct CloseRecord {
  void operator()(zip_file_t* record) const { zip_fclose(record); }
};
using Record = std::unique_ptr<zip_file_t, CloseRecord>;

// libzip converts the dates of all records by mktime(), whose time zone belongs to the whole
// process: one archive is read at a time.
std::mutex& ReadingMutex() {
  static std::mutex mutex;
  return mutex;
}

Status Failure(Code code, const std::string& path, const std::string& what) {
  return {code, "The archive '" + path + "' " + what + "."};
}

// Reads `bytes`, which must live longer than the archive.
Result<Archive> Open(const Tensor& bytes, const std::string& path) {
  zip_error_t error{};
  zip_source_t* const source =
      zip_source_buffer_create(bytes.data(), bytes.size_bytes(), /*freep=*/0, &error);
  if (source == nullptr) {
    return Status(Code::kResourceExhausted,
                  "There is no memory to read the archive '" + path + "'.");
  }
  Archive archive(zip_open_from_source(source, ZIP_RDONLY, &error));
  if (archive == nullptr) {
    zip_source_free(source);
    return Failure(Code::kDataLoss, path,
                   "is not a zip file or is cut short; expected one written by torch.package");
  }
  return archive;
}

bool Has(zip_t* archive, const std::string& name) {
  return zip_name_locate(archive, name.c_str(), ZIP_FL_ENC_RAW) >= 0;
}

// The folder that all records stand in.
Result<std::string> RootOf(zip_t* archive, const std::string& path) {
  const char* const name =
      zip_get_num_entries(archive, 0) > 0 ? zip_get_name(archive, 0, ZIP_FL_ENC_RAW) : nullptr;
  const std::string_view first = name == nullptr ? "" : name;
  std::string root(first.substr(0, first.find('/')));
  const bool is_package =
      (Has(archive, root + "/.data/version") || Has(archive, root + "/version")) &&
      Has(archive, root + "/.data/extern_modules");
  if (!is_package) {
    return Failure(Code::kDataLoss, path,
                   "lacks the records '.data/version' and '.data/extern_modules', so it was not "
                   "written by torch.package.PackageExporter (torch.save writes another format)");
  }
  return root;
}

Result<std::string> ReadRecord(zip_t* archive, const std::string& name, const std::string& path) {
  zip_stat_t stat{};
  if (zip_stat(archive, name.c_str(), ZIP_FL_ENC_RAW, &stat) != 0 ||
      (stat.valid & ZIP_STAT_SIZE) == 0) {
    return Failure(Code::kDataLoss, path, "has a damaged record '" + name + "'");
  }
  if (stat.size > kMaxManifestBytes) {
    return Failure(Code::kInvalidArgument, path,
                   "has a manifest of " + std::to_string(stat.size) + " bytes; expected at most " +
                       std::to_string(kMaxManifestBytes));
  }
  const Record record(zip_fopen(archive, name.c_str(), ZIP_FL_ENC_RAW));
  std::string text(stat.size, '\0');
  // One byte more than there should be, which makes the zip library check the checksum.
  char beyond = 0;
  if (record == nullptr ||
      zip_fread(record.get(), text.data(), text.size()) != static_cast<int64_t>(text.size()) ||
      zip_fread(record.get(), &beyond, 1) != 0) {
    return Failure(Code::kDataLoss, path, "has a damaged record '" + name + "'");
  }
  return text;
}

}  // namespace

Result<std::optional<std::string>> ReadManifestRecord(ArchiveFile& file) {
  const std::string& path = file.path();
  const Result<Tensor> bytes = file.Map();
  if (!bytes.ok()) {
    return bytes.status();
  }
  const std::lock_guard lock(ReadingMutex());
  const Result<Archive> archive = Open(*bytes, path);
  if (!archive.ok()) {
    return archive.status();
  }
  const Result<std::string> root = RootOf(archive->get(), path);
  if (!root.ok()) {
    return root.status();
  }
  const std::string name = *root + "/torchdeploy/manifest.json";
  if (!Has(archive->get(), name)) {
    return std::optional<std::string>();
  }
  Result<std::string> text = ReadRecord(archive->get(), name, path);
  if (!text.ok()) {
    return text.status();
  }
  return std::optional<std::string>(*std::move(text));
}

}  // namespace torchdeploy
