#include "runtime/src/archive_reader.h"

#include <zip.h>

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "torchdeploy/status.h"

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

// Checked before the zip library opens it, which names neither case.
Status CheckIsFile(const std::string& path) {
  if (path.empty() || path.find('\0') != std::string::npos) {
    return {Code::kInvalidArgument, "The path of an archive is empty or holds a NUL character."};
  }
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::not_found) {
    return Failure(Code::kNotFound, path, "does not exist");
  }
  if (error) {
    return Failure(Code::kPermissionDenied, path, "cannot be looked at: " + error.message());
  }
  if (status.type() != std::filesystem::file_type::regular) {
    return Failure(Code::kInvalidArgument, path,
                   std::filesystem::is_directory(status)
                       ? "is a folder; expected a file written by torch.package"
                       : "is not a regular file");
  }
  return {};
}

Result<Archive> Open(const std::string& path) {
  Status status = CheckIsFile(path);
  if (!status.ok()) {
    return status;
  }
  int code = 0;
  Archive archive(zip_open(path.c_str(), ZIP_RDONLY, &code));
  if (archive != nullptr) {
    return archive;
  }
  const int system_error = errno;
  if (code == ZIP_ER_OPEN || code == ZIP_ER_READ) {
    const bool denied = system_error == EACCES || system_error == EPERM;
    return Failure(denied ? Code::kPermissionDenied : Code::kUnavailable, path,
                   "cannot be read: " + std::generic_category().message(system_error));
  }
  return Failure(Code::kDataLoss, path,
                 "is not a zip file or is cut short; expected one written by torch.package");
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

Result<std::optional<std::string>> ReadManifestRecord(const std::string& path) {
  const std::lock_guard lock(ReadingMutex());
  const Result<Archive> archive = Open(path);
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
