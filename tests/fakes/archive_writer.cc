#include "tests/fakes/archive_writer.h"

#include <zip.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace torchdeploy::fakes {

namespace {

[[noreturn]] void Abort(const std::string& what) {
  std::fprintf(stderr, "cannot write or read the archive: %s\n", what.c_str());
  std::abort();
}

}  // namespace

std::map<std::string, std::string> RecordsOfArchive(std::optional<std::string_view> manifest) {
  std::map<std::string, std::string> records = {
      {"archive/.data/version", "6\n"},
      {"archive/.data/extern_modules", "torch\n"},
      {"archive/.data/python_version", "3.11.7"},
      {"archive/byteorder", "little"},
      {"archive/model/model.pkl", "the fake engine does not read this"},
  };
  if (manifest.has_value()) {
    records.emplace("archive/torchdeploy/manifest.json", *manifest);
  }
  return records;
}

void WriteArchive(const std::string& path, std::optional<std::string_view> manifest) {
  WriteZip(path, RecordsOfArchive(manifest));
}

void WriteZip(const std::string& path, const std::map<std::string, std::string>& records,
              Compression compression) {
  const int32_t method = compression == Compression::kNone ? ZIP_CM_STORE : ZIP_CM_DEFLATE;
  int code = 0;
  zip_t* const archive = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &code);
  if (archive == nullptr) {
    Abort(path);
  }
  for (const auto& [name, data] : records) {
    zip_source_t* const source = zip_source_buffer(archive, data.data(), data.size(), 0);
    const int64_t index = zip_file_add(archive, name.c_str(), source, ZIP_FL_ENC_UTF_8);
    if (index < 0 ||
        zip_set_file_compression(archive, static_cast<uint64_t>(index), method, 0) != 0) {
      Abort(path);
    }
  }
  if (zip_close(archive) != 0) {
    Abort(path);
  }
}

std::map<std::string, std::string> ReadZip(const std::string& bytes) {
  zip_error_t error{};
  zip_source_t* const source = zip_source_buffer_create(bytes.data(), bytes.size(), 0, &error);
  zip_t* const archive = zip_open_from_source(source, ZIP_RDONLY | ZIP_CHECKCONS, &error);
  if (archive == nullptr) {
    Abort(zip_error_strerror(&error));
  }
  std::map<std::string, std::string> records;
  for (int64_t i = 0; i < zip_get_num_entries(archive, 0); ++i) {
    zip_stat_t stat{};
    zip_stat_index(archive, static_cast<uint64_t>(i), ZIP_FL_ENC_RAW, &stat);
    std::string data(stat.size, '\0');
    zip_file_t* const record = zip_fopen_index(archive, static_cast<uint64_t>(i), 0);
    char beyond = 0;  // Asking for it makes libzip check the checksum.
    if (record == nullptr ||
        zip_fread(record, data.data(), data.size()) != static_cast<int64_t>(data.size()) ||
        zip_fread(record, &beyond, 1) != 0) {
      Abort(stat.name);
    }
    zip_fclose(record);
    records.emplace(stat.name, data);
  }
  zip_discard(archive);
  return records;
}

}  // namespace torchdeploy::fakes
